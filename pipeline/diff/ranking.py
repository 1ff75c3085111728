"""What two runs have in common, and their classes: those first that have moved most."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.diff.kind import table_of
from pipeline.tables import RunReader

KEYS = ["id", "target"]
MEANS = ["score_a", "score_b", "iou", "kept_a_on_b", "kept_b_on_a", "outside_a", "outside_b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChange:
    """Means over the images of one class; `with_truth` of them have a ground truth.

    same    share of images for which both predict the same class
    moved   how much more of the region lies outside the object in b; None without ground truth
    others  as in the table `diff`
    """

    target: int
    name: str
    images: int
    with_truth: int
    same: float
    score_a: float
    score_b: float
    iou: float
    kept_a_on_b: float
    kept_b_on_a: float
    outside_a: float | None
    outside_b: float | None
    moved: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Two runs held against each other.

    table    the rows; `common` of them
    other    images that both explained, for different classes: left out
    only_a, only_b  images that the other run has not: left out
    failed   images that both explained for the same class and that could not be compared
    classes  those first whose regions moved most to the context; without ground truth those whose
             regions have least in common
    """

    table: pa.Table
    common: int
    other: int
    only_a: int
    only_b: int
    failed: int
    classes: tuple[ClassChange, ...]


def changed(one: RunReader, two: RunReader) -> Changed | None:
    """Of the table that `xaipipe diff` has made; None before it has."""
    found = one.derived(table_of(two))
    if found is None:
        return None
    table = found.to_table()
    ours, theirs = (run.images.to_table(columns=KEYS) for run in (one, two))
    same = ours.join(theirs, KEYS, join_type="inner")
    table = table.join(same, KEYS, join_type="inner").sort_by([(k, "ascending") for k in KEYS])
    a, b, both = (set(t["id"].to_pylist()) for t in (ours, theirs, same))
    return Changed(
        table=table,
        common=len(table),
        other=len((a & b) - both),
        only_a=len(a - b),
        only_b=len(b - a),
        failed=len(same) - len(table),
        classes=tuple(sorted(_classes(table), key=_rank)),
    )


def _classes(table: pa.Table) -> list[ClassChange]:
    same = pc.equal(table["predicted_a"], table["predicted_b"]).cast(pa.float64())
    grouped = (
        table.append_column("same", same)
        .group_by(["target", "target_name"])
        .aggregate(
            [("id", "count"), ("outside_a", "count")]
            + [(name, "mean") for name in ("same", "moved", *MEANS)]
        )
    )
    return [
        ClassChange(
            target=row["target"],
            name=row["target_name"],
            images=row["id_count"],
            with_truth=row["outside_a_count"],
            **{name: row[f"{name}_mean"] for name in ("same", "moved", *MEANS)},
        )
        for row in grouped.to_pylist()
    ]


def _rank(change: ClassChange) -> tuple[bool, float, str]:
    known = change.moved is not None
    return not known, -change.moved if change.moved is not None else change.iou, change.name
