"""The frontier figure: where a run stands, by hand, and that its dot is drawn there."""

import pyarrow as pa
import pytest

from pipeline.results import SCHEMA, MetricsTable, draw_plots, frontier_plot
from pipeline.results.plotting import PALETTE
from tests.pipeline.results.plots import middle


def rows(run, kept, removed, perimeter):
    """Two classes of an image; values of the second are twice those of the first."""
    names = {"kept": kept, "removed": removed, "perimeter": perimeter, "pointing": [9.0]}
    return [
        {"run": run, "id": "a", "target": target, "metric": metric, "area": area}
        | {"value": times * value}
        for metric, values in names.items()
        for area, value in zip((0.1, 0.2), values, strict=False)
        for target, times in ((7, 1), (3, 2))
    ]


def plot(*runs):
    return frontier_plot(MetricsTable(pa.Table.from_pylist(sum(runs, []), schema=SCHEMA)), "t")


def test_points_are_means_over_areas_and_images():
    one = rows("one", [0.2, 0.4], [0.1, 0.0], [1.0, 1.2])
    two = rows("two", [0.1], [0.3], [2.0])
    first, second = plot(one, two, rows("no shape", [0.1], [0.3], [])).lines
    assert (first.name, second.name) == ("one", "two")
    (dot,), (other,) = first.dots, second.dots
    assert dot.x == pytest.approx((1.1 + 2.2) / 2)
    assert dot.y.mean == pytest.approx((0.25 + 0.5) / 2)
    half = 12.7062 / 2  # Student's .975 quantile of one degree of freedom, over sqrt(2) twice
    ends = (0.375 - half * 0.25, 0.375 + half * 0.25)
    assert (dot.y.low, dot.y.high) == pytest.approx(ends, abs=1e-4)
    assert dot.ends == pytest.approx((1.65 - half * 1.1, 1.65 + half * 1.1), abs=1e-4)
    assert other.y.mean == pytest.approx(-0.3)


def test_dots_stand_where_their_figures_say():
    values = [(1.0, 0.1), (2.0, 0.5), (4.0, 0.3)]  # to the right, up
    page = draw_plots(
        [plot(*(rows(str(n), [up], [0.0], [right]) for n, (right, up) in enumerate(values)))]
    )
    (x0, y0), (x1, y1), (x2, y2) = (middle(page, colour) for colour in PALETTE[:3])
    assert x0 < x1 < x2 and y1 < y2 < y0  # pixels count from above
    assert (x2 - x0) / (x1 - x0) == pytest.approx(3, abs=0.05)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(2, abs=0.05)


def test_a_single_run_without_spread_can_be_drawn():
    page = draw_plots([plot(rows("one", [0.0], [0.0], [0.0])[::2])])
    assert middle(page, PALETTE[0])
