"""Sections: what each has found, whether that is as expected, and in how much time."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how large.

    device  `cuda`, or `cpu`, where only the checks themselves can be tested
    quick   tiny sizes
    folder  for files that are not kept
    """

    device: str
    quick: bool
    folder: Path

    def size(self, full: int, tiny: int) -> int:
        """The full size, or the tiny one where quick."""
        return tiny if self.quick else full


@dataclass(slots=True)
class Findings:
    """Figures by name, and what was not as expected.

    measured  whether speeds mean anything here
    """

    measured: bool = True
    figures: dict[str, Any] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def expect(self, what: str, holds: bool) -> None:
        """A sentence that should be true; where it is not, the section has failed but goes on."""
        if not holds:
            self.failed.append(what)

    def goal(self, what: str, reached: bool) -> None:
        """The same for a speed."""
        self.expect(what, reached or not self.measured)


class Skipped(Exception):
    """A section that has nothing to check here; says why."""


Section = Callable[[Place, Findings], None]


def run_sections(
    sections: Mapping[str, Section],
    place: Place,
    budget: float,
    write: Callable[[dict[str, Any]], None],
) -> dict[str, dict[str, Any]]:
    """Run one after the other, whatever happens in each; a line on the terminal for each.

    budget  seconds after which none begins any more
    write   is given all results until then, after every section
    """
    began, results = time.monotonic(), dict[str, dict[str, Any]]()
    for name, section in sections.items():
        started, found = time.monotonic(), Findings(measured=not place.quick)
        late = started - began > budget
        state, reason = ("SKIP", "no time left") if late else _tried(section, place, found)
        results[name] = {
            "state": state,
            "reason": reason,
            "seconds": time.monotonic() - started,
            **found.figures,
        }
        print(f"{state} {name} ({results[name]['seconds']:.1f} s) {reason}".rstrip(), flush=True)
        write(results)
    return results


def _tried(section: Section, place: Place, found: Findings) -> tuple[str, str]:
    """State and reason."""
    try:
        section(place, found)
    except Skipped as why:
        return "SKIP", str(why)
    except Exception as error:  # a section that breaks costs none of the others
        found.figures["traceback"] = traceback.format_exc()
        found.failed.append(describe(error))
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return ("FAIL", "; ".join(found.failed)) if found.failed else ("PASS", "")
