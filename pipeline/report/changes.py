"""What `xaipipe diff` has found against other runs, in the words of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.diff import Changed, ClassChange, changed
from pipeline.report.text import DASH, figure, percent
from pipeline.tables import RunReader

CLASSES, IMAGES = 100, 12  # rows
COUNTS = ("common", "other", "only_a", "only_b", "failed")


def changes(reader: RunReader, others: Mapping[str, RunReader]) -> list[dict[str, Any]]:
    """For the template, of each run that this one has been compared with."""
    return list(_changes(reader, others))


def _changes(reader: RunReader, others: Mapping[str, RunReader]) -> Iterator[dict[str, Any]]:
    for name, other in others.items():
        found = changed(reader, other)
        if found is not None and found.common:
            yield {n: getattr(found, n) for n in COUNTS} | {
                "name": name,
                "area": found.table["area"][0].as_py(),
                "classes": [_class(c) for c in found.classes[:CLASSES]],
                "further": len(found.classes[CLASSES:]),
                "images": list(_images(found)),
            }


def _class(c: ClassChange) -> tuple[str, ...]:
    figures = (c.score_a, c.score_b, c.iou, c.kept_a_on_b, c.kept_b_on_a, c.outside_a, c.outside_b)
    same = percent(c.same, 0)
    moved = DASH if c.moved is None else figure(c.moved, "+")
    return (c.name, f"{c.images}", same, *map(figure, figures), moved, f"{c.with_truth}")


def _images(found: Changed) -> Iterator[tuple[str, ...]]:
    """Those that moved most to the context, then those whose regions have least in common."""
    order = [("moved", "descending"), ("iou", "ascending"), ("id", "ascending")]
    for row in found.table.sort_by(order).slice(0, IMAGES).to_pylist():
        names = (row[n] for n in ("id", "target_name", "predicted_name_a", "predicted_name_b"))
        figures = (row[n] for n in ("iou", "kept_a_on_b", "kept_b_on_a"))
        moved = DASH if row["moved"] is None else figure(row["moved"], "+")
        yield (*names, *map(figure, figures), moved)
