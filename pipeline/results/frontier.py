"""The frontier figure: how much scores tell for masks against how compact these are."""

from __future__ import annotations

from pipeline.results.metrics_table import MetricsTable
from pipeline.results.plotting import Dot, Line, Plot
from pipeline.results.score_gap import GAP, means_over_areas, score_gaps

SHAPE = "perimeter"
X = "perimeter over that of a disc, mean over areas: rounder is left"


def frontier_plot(table: MetricsTable, title: str) -> Plot:
    """A dot for each run with its 95 % intervals; the best runs are at the upper left."""
    gaps, shapes = score_gaps(table), means_over_areas(table.values(SHAPE))
    lines = [
        Line(name=run, dots=[Dot(shape.mean, gaps[run], run, (shape.low, shape.high))])
        for run, shape in shapes.items()
        if run in gaps
    ]
    return Plot(title=title, x=X, y=GAP, lines=lines)
