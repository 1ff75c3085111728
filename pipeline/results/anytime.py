"""The anytime figure: how good masks are after how many passes of the classifier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.results.metrics_table import MetricsTable
from pipeline.results.plotting import Dot, Line, Plot
from pipeline.results.recorded import RecordedRow
from pipeline.results.score_gap import GAP, score_gaps

X = "passes of the classifier for an image, without those for scores"
OURS = {"start": "inr"}  # what inr begins with is its first point


def anytime_plot(rows: Sequence[RecordedRow], table: MetricsTable, title: str) -> Plot:
    """A dot for each row, a line for the best that a method's rows have reached by then.

    rows  of one classifier and one set of images, and `table`, their metrics
    What needs no pass is a dashed level, as it is there from the beginning.
    """
    gaps = score_gaps(table)
    of_method: dict[str, list[RecordedRow]] = defaultdict(list)
    for row in rows:
        if row.name in gaps:
            method = row.about["fingerprint"]["method"]
            of_method[OURS.get(method, method)].append(row)
    lines = []
    for method, own in of_method.items():
        free = [row for row in own if not row.about["passes"]]
        lines += [Line(name=row.name, level=gaps[row.name].mean) for row in free]
        if paid := [row for row in own if row.about["passes"]]:
            dots = [Dot(row.about["passes"], gaps[row.name], row.name) for row in paid]
            lines.append(Line(name=method, dots=dots, joined=_best_by_then(dots), stepped=True))
    return Plot(title=title, x=X, y=GAP, lines=lines, log=True)


def _best_by_then(dots: Sequence[Dot]) -> list[tuple[float, float]]:
    """Those that are better than all that take as few passes."""
    found: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda dot: (dot.x, -dot.y.mean)):
        if not found or dot.y.mean > found[-1][1]:
            found.append((dot.x, dot.y.mean))
    return found
