"""What is certified of a run, by round and area."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.tables import RunReader

SURE = 0.9  # share of samples from which a mask counts as stable


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaCertificates:
    """Of the masks of one round and area.

    right      share of them that alone make the classifier predict their class
    certified  mean of the shares of samples in which the prediction stays; `sure`: share of masks
               whose share is at least `SURE`; both of the masks that are right, None without any
    """

    round: int
    area: float
    masks: int
    right: float
    certified: float | None
    sure: float | None
    radius: int
    samples: int


def by_area(run: RunReader) -> list[AreaCertificates]:
    """Rounds and areas in order; empty before `xaipipe certify`."""
    dataset = run.derived("certificates")
    if dataset is None:
        return []
    table = dataset.to_table(
        columns=["round", "area", "target", "predicted", "certified", "radius", "samples"]
    )
    right = pc.equal(table["target"], table["predicted"])
    known = pc.if_else(right, table["certified"], None)
    sure = pc.cast(pc.greater_equal(known, SURE), "float64")
    for name, column in (("right", pc.cast(right, "float64")), ("known", known), ("sure", sure)):
        table = table.append_column(name, column)
    grouped = table.group_by(["round", "area", "radius", "samples"]).aggregate(
        [("certified", "count"), ("right", "mean"), ("known", "mean"), ("sure", "mean")]
    )
    rows = grouped.sort_by([("round", "ascending"), ("area", "ascending")]).to_pylist()
    return [
        AreaCertificates(
            round=row["round"],
            area=row["area"],
            masks=row["certified_count"],
            right=row["right_mean"],
            certified=row["known_mean"],
            sure=row["sure_mean"],
            radius=row["radius"],
            samples=row["samples"],
        )
        for row in rows
    ]
