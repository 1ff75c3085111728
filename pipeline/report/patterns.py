"""The cue list: patterns of regions by class, those first that tell most without their object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.sample import Key
from pipeline.tables import RunReader

SHOWN = 100  # patterns with their pictures
EXAMPLES = 6  # pictures of a pattern
Row = dict[str, Any]
REGION = ["id", "target", "restart", "round", "area", "x0", "y0", "x1", "y1"]
REGION += ["outside", "pattern", "pattern_target", "becomes_name"]


@dataclass(frozen=True, slots=True)
class CueList:
    """Patterns of a run.

    classes  (name, rows of the table `patterns`), the class first that relies most on a pattern
    total    patterns of the run; those that are shown are the first by reliance
    """

    classes: tuple[tuple[str, tuple[Row, ...]], ...]
    total: int

    def examples(self) -> Iterator[Key]:
        """Images to show: one of every pattern, then a second one of every pattern, and so on."""
        rows = [row for _, rows in self.classes for row in rows]
        for n in range(EXAMPLES):
            yield from (_example(row, n) for row in rows if len(row["examples"]) > n)


def cue_list(reader: RunReader) -> CueList | None:
    """None where no patterns have been looked for."""
    table = reader.derived("patterns")
    if table is None:
        return None
    rows = sorted(table.to_table().to_pylist(), key=_reliance, reverse=True)
    by_class: dict[Key, list[Row]] = {}
    for row in rows[:SHOWN]:
        examples = list(row["examples"] or ())[:EXAMPLES]
        by_class.setdefault((row["target_name"], row["target"]), []).append(
            row | {"examples": examples}
        )
    return CueList(tuple((name, tuple(own)) for (name, _), own in by_class.items()), len(rows))


def regions(reader: RunReader, ids: Sequence[str]) -> dict[tuple[Key, int, int], Row]:
    """Rows of the table `regions` of some images, by (id, target), restart and round."""
    table = reader.derived("regions")
    if table is None:
        return {}
    wanted = pc.field("id").isin(pa.array(list(ids), pa.string()))
    columns = [name for name in REGION if name in table.schema.names]  # not labelled: no pattern
    found = table.to_table(columns=columns, filter=wanted).to_pylist()
    return {((row["id"], row["target"]), row["restart"], row["round"]): row for row in found}


def _example(row: Row, n: int) -> Key:
    """Images of a class that is only predicted were explained for another one."""
    targets = row.get("example_targets")
    return row["examples"][n], targets[n] if targets else row["target"]


def _reliance(row: Row) -> float:
    return -1.0 if row["reliance"] is None else float(row["reliance"])
