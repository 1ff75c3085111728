"""The figures of a benchmark; what each of its names means stands in `measure`."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(slots=True, kw_only=True)
class Benchmark:
    """What was measured, by now.

    samples  values by name, one per turn or, of whole runs, per repeat; their median is the result
    counts   whole numbers and means that no repeat changes: images, workers, batch, ...;
             passes_per_image as counted, nominal_passes_per_image as planned,
             forward_only_per_image further ones without gradient, which score the final masks;
             peak_memory_bytes of the loop's process: of tensors on a GPU, else resident;
             occupancy of the places where networks are optimised side by side, in [0, 1]
    step     seconds of the parts of an optimisation step; empty for other methods than inr
    notes    what the worker of the loop has given up, and what could not be measured
    """

    device: str
    precision: str
    counts: dict[str, float]
    samples: dict[str, list[float]] = field(default_factory=dict)
    step: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, rates: dict[str, float]) -> None:
        """One more sample of each name."""
        for name, value in rates.items():
            self.samples.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """The result of that name."""
        return median(self.samples[name])

    def results(self) -> dict[str, Any]:
        """Everything as plain data: medians and counts by name, then step, samples and notes."""
        medians = {name: self.median(name) for name in self.samples}
        return {
            "device": self.device,
            "precision": self.precision,
            **medians,
            **self.counts,
            "step_seconds": self.step,
            "samples": self.samples,
            "notes": self.notes,
        }
