"""The plot of runs: where a run stands, by hand, and that its dot is drawn there."""

import pytest
from PIL import Image

from pipeline.images.overlays import COLOURS
from pipeline.results.frontier import Axis, draw_frontier, points_of


def rows(run, kept, removed, perimeter):
    """Two images; values of the second are twice those of the first."""
    names = {"kept": kept, "removed": removed, "perimeter": perimeter, "pointing": [9.0]}
    return [
        {"run": run, "id": id_, "metric": metric, "value": times * value}
        for metric, values in names.items()
        for value in values
        for id_, times in (("a", 1), ("b", 2))
    ]


ROWS = rows("one", [0.2, 0.4], [0.1, 0.0], [1.0, 1.2]) + rows("two", [0.1], [0.3], [2.0])


def test_points_are_means_over_areas_and_images():
    one, two = points_of(ROWS)
    assert (one.name, two.name) == ("one", "two")
    assert one.x.mean == pytest.approx((1.1 + 2.2) / 2)
    assert one.y.mean == pytest.approx((0.25 + 0.5) / 2)
    assert one.y.low == pytest.approx(0.25) and one.y.high == pytest.approx(0.5)
    assert two.y.mean == pytest.approx(-0.3)


def test_dots_stand_where_the_axes_say():
    points = points_of(ROWS)
    page = draw_frontier(points)
    x = Axis.around([p.x for p in points], 70, page.width - 30)
    y = Axis.around([p.y for p in points], page.height - 60, 30)
    for point, colour in zip(points, COLOURS, strict=False):
        at = round(x(point.x.mean)), round(y(point.y.mean))
        assert page.getpixel(at) == colour
    assert x(points[0].x.mean) < x(points[1].x.mean)
    assert y(points[0].y.mean) < y(points[1].y.mean)  # pixels count from above


def test_a_single_run_without_spread_can_be_drawn():
    page = draw_frontier(points_of(rows("one", [0.0], [0.0], [0.0])))
    assert isinstance(page, Image.Image)
