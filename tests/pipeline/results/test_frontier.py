"""The plot of runs: where a run stands, by hand, and that its dot is drawn there."""

import numpy as np
import pytest
from PIL import Image

from pipeline.images.overlays import COLOURS
from pipeline.results.frontier import draw_frontier, points_of


def rows(run, kept, removed, perimeter):
    """Two classes of an image; values of the second are twice those of the first."""
    names = {"kept": kept, "removed": removed, "perimeter": perimeter, "pointing": [9.0]}
    return [
        {"run": run, "id": "a", "target": target, "metric": metric, "value": times * value}
        for metric, values in names.items()
        for value in values
        for target, times in ((7, 1), (3, 2))
    ]


ROWS = rows("one", [0.2, 0.4], [0.1, 0.0], [1.0, 1.2]) + rows("two", [0.1], [0.3], [2.0])


def test_points_are_means_over_areas_and_images():
    one, two = points_of(ROWS)
    assert (one.name, two.name) == ("one", "two")
    assert one.x.mean == pytest.approx((1.1 + 2.2) / 2)
    assert one.y.mean == pytest.approx((0.25 + 0.5) / 2)
    half = 12.7062 * (0.5 - 0.25) / 2  # Student's .975 quantile of one degree of freedom
    assert (one.y.low, one.y.high) == pytest.approx((0.375 - half, 0.375 + half), abs=1e-4)
    assert two.y.mean == pytest.approx(-0.3)


def middle(page, colour):
    """Where a colour lies in a picture: its mean column and row."""
    rows, columns = np.nonzero((np.array(page) == colour).all(axis=2))
    assert len(rows) > 50
    return columns.mean(), rows.mean()


def test_dots_stand_where_their_figures_say():
    values = [(1.0, 0.1), (2.0, 0.5), (4.0, 0.3)]  # to the right, up
    runs = [rows(str(n), [up], [0.0], [right]) for n, (right, up) in enumerate(values)]
    page = draw_frontier(points_of(sum(runs, [])))
    (x0, y0), (x1, y1), (x2, y2) = (middle(page, colour) for colour in COLOURS[:3])
    assert x0 < x1 < x2 and y1 < y2 < y0  # pixels count from above
    assert (x2 - x0) / (x1 - x0) == pytest.approx(3, abs=0.05)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(2, abs=0.05)


def test_a_single_run_without_spread_can_be_drawn():
    page = draw_frontier(points_of(rows("one", [0.0], [0.0], [0.0])))
    assert isinstance(page, Image.Image) and middle(page, COLOURS[0])
