"""What a run's tables add up to, taken part by part: sums by class, spreads by area.

Scores are those of the best restart of round 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.parts import KEY, SHARDS, parts
from pipeline.tables import RunReader

BINS = 1000  # of a score's histogram: percentiles are right to half a bin
BAND = (0.1, 0.9)  # percentiles
SCORES = ("score_kept", "score_removed")
RANKED = pa.schema(
    [("id", pa.string()), ("target", pa.int64()), ("target_name", pa.string()), ("kept", "f4")]
)
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of a score over images: its mean, the 10th and the 90th percentile."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaTotals:
    """Masks of one area."""

    area: float
    images: int
    kept: Spread
    removed: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTotals:
    """Images explained for one class: means of the whole image's score and of the masks'.

    kept, removed  at the middle area
    minimal_area   mean over the images that have one; None if none has; `sufficient`: how many have
    """

    name: str
    images: int
    score: float
    kept: float
    removed: float
    minimal_area: float | None
    sufficient: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A run in figures.

    middle   the area whose scores rank images and classes
    score    mean score of the whole images; None without images
    classes  lowest kept score first
    minimal  images by their minimal area, None where there is none
    rounds   images by the number of their rounds
    ranking  table of id, target, target_name and kept, the score kept at the middle area; lowest
             first
    """

    images: int
    middle: float
    score: float | None
    areas: tuple[AreaTotals, ...]
    classes: tuple[ClassTotals, ...]
    minimal: Counter[float | None]
    rounds: Counter[int]
    ranking: pa.Table


def middle_area(reader: RunReader) -> float:
    """The area in the middle of those of a run; of two the smaller one."""
    areas = sorted(a for a in reader.config.areas if a <= reader.largest_area(0))
    return float(areas[(len(areas) - 1) // 2])


def totals(reader: RunReader, shards: int = SHARDS) -> Totals:
    """Read a run once, `shards` at a time; of an image only its id and one score are kept."""
    adding = _Adding(middle_area(reader))
    for part in parts(reader, shards):
        adding.add(part)
    return adding.totals()


class _Adding:
    """Totals in the making."""

    def __init__(self, middle: float) -> None:
        self.middle = middle
        self.by_class: pa.Table | None = None
        self.by_mask: pa.Table | None = None  # class and area
        self.histograms: dict[tuple[float, str], Counts] = {}
        self.minimal: Counter[float | None] = Counter()
        self.rounds: Counter[int] = Counter()
        self.ranking = [RANKED.empty_table()]

    def add(self, part: RunReader) -> None:
        columns = [*KEY, "restart", "round", "best", "minimal_area"]
        explanations = part.explanations.to_table(columns=columns)
        first = explanations.filter((pc.field("round") == 0) & pc.field("best"))
        images = part.images.to_table(columns=["id", "target", "target_name", "score"])
        images = images.join(first.select([*KEY, "restart", "minimal_area"]), KEY)
        masks = part.masks.to_table(
            columns=[*KEY, "restart", "area", *SCORES], filter=pc.field("round") == 0
        ).join(images, [*KEY, "restart"], join_type="inner")
        last = explanations.group_by(KEY).aggregate([("round", "max")])["round_max"]
        self.rounds.update(n + 1 for n in last.to_pylist())
        self.minimal.update(images["minimal_area"].to_pylist())
        self._add_sums(images, masks)
        self._add_scores(masks)

    def _add_sums(self, images: pa.Table, masks: pa.Table) -> None:
        of_images = images.append_column("images", pa.array([1] * len(images), pa.int64()))
        of_images = of_images.append_column("sufficient", _valid(images["minimal_area"]))
        columns = ["images", "score", "minimal_area", "sufficient"]
        self.by_class = _sums(self.by_class, of_images, ["target_name"], columns)
        of_masks = masks.append_column("images", pa.array([1] * len(masks), pa.int64()))
        keys = ["target_name", "area"]
        self.by_mask = _sums(self.by_mask, of_masks, keys, ["images", *SCORES])

    def _add_scores(self, masks: pa.Table) -> None:
        for area in pc.unique(masks["area"]).to_pylist():
            of_area = masks.filter(pc.field("area") == area)
            for name in SCORES:
                counts, _ = np.histogram(of_area[name].to_numpy(), BINS, (0, 1))
                self.histograms[area, name] = self.histograms.get((area, name), 0) + counts
            if area == self.middle:
                ranked = of_area.rename_columns({"score_kept": "kept"})
                self.ranking.append(ranked.select(RANKED.names).cast(RANKED))

    def totals(self) -> Totals:
        classes = [] if self.by_class is None else self.by_class.to_pylist()
        masks = [] if self.by_mask is None else self.by_mask.to_pylist()
        images = sum(row["images"] for row in classes)
        ranking = pa.concat_tables(self.ranking)
        return Totals(
            images=images,
            middle=self.middle,
            score=sum(row["score"] for row in classes) / images if images else None,
            areas=tuple(self._area(area, masks) for area in sorted({m["area"] for m in masks})),
            classes=self._classes(classes, masks),
            minimal=self.minimal,
            rounds=self.rounds,
            ranking=ranking.sort_by([(name, "ascending") for name in ("kept", "id", "target")]),
        )

    def _area(self, area: float, masks: Sequence[dict[str, Any]]) -> AreaTotals:
        rows = [row for row in masks if row["area"] == area]
        images = sum(row["images"] for row in rows)
        kept, removed = (
            _spread(sum(row[name] for row in rows) / images, self.histograms[area, name])
            for name in SCORES
        )
        return AreaTotals(area=area, images=images, kept=kept, removed=removed)

    def _classes(
        self, classes: Sequence[dict[str, Any]], masks: Sequence[dict[str, Any]]
    ) -> tuple[ClassTotals, ...]:
        middle = {row["target_name"]: row for row in masks if row["area"] == self.middle}
        found = [_class(row, middle[row["target_name"]]) for row in classes]
        return tuple(sorted(found, key=lambda c: (c.kept, c.name)))


def _class(row: dict[str, Any], mask: dict[str, Any]) -> ClassTotals:
    sufficient = row["sufficient"]
    return ClassTotals(
        name=row["target_name"],
        images=row["images"],
        score=row["score"] / row["images"],
        kept=mask["score_kept"] / mask["images"],
        removed=mask["score_removed"] / mask["images"],
        minimal_area=row["minimal_area"] / sufficient if sufficient else None,
        sufficient=sufficient,
    )


def _valid(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.is_valid().cast(pa.int64())


def _sums(known: pa.Table | None, more: pa.Table, keys: list[str], columns: list[str]) -> pa.Table:
    """Sums of columns by keys, added to those of earlier parts."""
    grouped = more.group_by(keys).aggregate([(name, "sum") for name in columns])
    grouped = grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
    if known is None:
        return grouped
    return _sums(None, pa.concat_tables([known, grouped.select(known.column_names)]), keys, columns)


def _spread(mean: float, counts: Counts) -> Spread:
    """Percentiles from a histogram of [0, 1]: the middle of the bin where they lie."""
    reached = np.cumsum(counts) / counts.sum()
    low, high = ((np.searchsorted(reached, share) + 0.5) / BINS for share in BAND)
    return Spread(mean=mean, low=float(low), high=float(high))
