"""How much of a class's score is left without its object: classes ranked by it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables import RunReader

SCORES = ("score", "score_object", "score_context", "score_nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassContext:
    """Means over the images of a class that have a ground truth.

    reliance  mean score with the object perturbed / mean score of the whole image: 0, the object is
              all; 1, nobody would miss it
    others    as in the table `context`
    """

    target: int
    name: str
    images: int
    score: float
    score_object: float
    score_context: float
    score_nothing: float

    @property
    def reliance(self) -> float:
        """See the class."""
        return self.score_context / max(self.score, 1e-9)


def context_by_class(run: RunReader) -> list[ClassContext]:
    """Classes that rely most on what is not their object first.

    Empty before `xaipipe regions`, and without ground truth.
    """
    table = run.derived("context", of="regions")
    if table is None:
        return []
    known = table.to_table(
        columns=["target", "target_name", *SCORES], filter=pc.field("score_context").is_valid()
    )
    grouped = known.group_by(["target", "target_name"]).aggregate(
        [("score", "count"), *((name, "mean") for name in SCORES)]
    )
    return sorted(map(_of, grouped.to_pylist()), key=lambda c: (-c.reliance, c.name))


def _of(row: dict[str, pa.Scalar]) -> ClassContext:
    return ClassContext(
        target=row["target"],
        name=row["target_name"],
        images=row["score_count"],
        **{name: row[f"{name}_mean"] for name in SCORES},
    )
