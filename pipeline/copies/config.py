"""How a copy is tuned. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """How a copy is tuned.

    depth          share of the layers that learn, from the top; .1: head and last block of most
    teacher        learn to say of a masked image what the intact classifier says of the whole one;
                   else its label, as published, which of a few images a classifier learns by heart
    least          smallest area that a mask leaves of an image; areas are uniform up to 1
    learning_rate  of AdamW at the beginning; it falls to 0 along a cosine
    held_out       share of the images that are not learnt from, which accuracies are of
    """

    depth: float = 0.1
    epochs: int = 5
    batch: int = 32
    learning_rate: float = 1e-4
    teacher: bool = True
    least: float = 0.3
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("depth", "least", "held_out"):
            if not 0 < getattr(self, name) <= 1 or (name == "held_out" and self.held_out == 1):
                raise RequestError(f"{name} is {getattr(self, name):g}; expected a share, as in .1")
        for name in ("epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise RequestError(f"{name} is {getattr(self, name):g}; expected more than 0")
