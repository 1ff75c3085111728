"""What is exported: images of a run, and for each the masks of its best explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RequestError
from pipeline.results import Originals, select
from pipeline.tables import ExplainedImage, MaskArray, RunReader


@dataclass(frozen=True, slots=True)
class ChosenMask:
    """One stored mask of the best restart of a round, with its row in the table."""

    one: ExplainedImage
    explanation: dict[str, Any]
    row: dict[str, Any]

    @property
    def name(self) -> str:
        """Tells the masks of an image apart: `round0_area0.1`."""
        return f"round{self.row['round']}_area{self.row['area']:g}"

    def pixels(self) -> MaskArray:
        """(height, width) uint8 of the upright original, 255 = keep."""
        row = self.row
        return self.one.original(row["area"], restart=row["restart"], round=row["round"])

    def values(self) -> dict[str, Any]:
        """What was measured, under the names of the tables."""
        names = ("restart", "round", "area", "measured_area", "score_kept", "score_removed")
        return {name: self.row[name] for name in names}


class Selection:
    """Images and masks of a run.

    where  expression that chooses images, as in `xaipipe show`
    areas  of the masks, stored ones; None: of every round the smallest that keeps the score, or the
           middle one
    root   where the images are now, if they have moved
    """

    def __init__(
        self,
        reader: RunReader,
        *,
        where: str | None = None,
        areas: Sequence[float] | None = None,
        root: str | None = None,
    ) -> None:
        stored = tuple(reader.config.areas)
        if wrong := [area for area in areas or () if area not in stored]:
            raise RequestError(
                f"--areas {wrong[0]:g}: no mask of this area is stored, so its scores are not "
                f"known; the areas of this run are {', '.join(f'{area:g}' for area in stored)}"
            )
        self.reader, self.areas = reader, areas
        self.originals = Originals(root)
        hits = None if where is None else select(reader, where)
        self._keys = None if hits is None else {(hit.id, hit.target) for hit in hits}

    def __iter__(self) -> Iterator[ExplainedImage]:
        return self.reader.each_explained(self._keys)

    def __len__(self) -> int:
        """Images, of which each counts once for every class explained."""
        return self.reader.images.count_rows() if self._keys is None else len(self._keys)

    def masks(self, one: ExplainedImage) -> list[ChosenMask]:
        """The chosen masks of an image, ordered by round and area."""
        chosen = []
        best = sorted((e for e in one.explanations if e["best"]), key=lambda e: int(e["round"]))
        for e in best:
            areas = self.areas or [one.telling_area(e["round"])]
            rows = one.masks_of(e["restart"], e["round"])
            chosen += [ChosenMask(one, e, row) for row in rows if row["area"] in areas]
        return chosen
