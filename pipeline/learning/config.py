"""How a start is learnt. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnConfig:
    """How a start is learnt.

    epochs         times that every lesson, or its mirror image, is seen
    learning_rate  of AdamW at the beginning; it falls to 0 along a cosine
    mosaics        also learn from 2 x 2 mosaics of the images, whose evidence lies in one cell:
                   from single photographs alone it would be learnt that whatever looks like an
                   object is evidence
    held_out       share of the images that are not learnt from, which the figures are of
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    mosaics: bool = True
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise RequestError(f"held_out is {self.held_out:g}; expected a share, as in .1")
        for name in ("epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise RequestError(f"{name} is {getattr(self, name):g}; expected more than 0")
