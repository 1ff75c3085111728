"""The anytime figure: what stands where, by hand, and that it is drawn there."""

import pyarrow as pa
import pytest

from pipeline.results import SCHEMA, MetricsTable, RecordedRow, anytime_plot, draw_plots
from pipeline.results.intervals import mean_interval
from pipeline.results.plotting import PALETTE, Dot, Line, Plot
from tests.pipeline.results.plots import middle


def recorded(name, method, passes, kept, removed):
    """kept, removed: of image a and b at areas .1 and .2, (2, 2)"""
    rows = [
        {"run": name, "method": method, "id": id_, "target": 1, "target_name": "t"}
        | {"metric": metric, "area": area, "value": value}
        for metric, of_images in (("kept", kept), ("removed", removed))
        for id_, of_areas in zip("ab", of_images, strict=True)
        for area, value in zip((0.1, 0.2), of_areas, strict=True)
    ]
    about = {"fingerprint": {"method": method, "weights": "w"}, "passes": passes}
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    return RecordedRow(images="i", model="m", name=name, about=about, table=table)


def level(name, method, passes, apart):
    return recorded(name, method, passes, [[apart, apart]] * 2, [[0.0, 0.0]] * 2)


def plot(rows):
    whole = MetricsTable(pa.concat_tables([row.table for row in rows]))
    return {line.name: line for line in anytime_plot(rows, whole, "title").lines}


def test_dots_are_means_over_areas_and_images():
    row = recorded("one", "ep", 30, [[0.4, 0.8], [0.1, 0.3]], [[0.1, 0.1], [0.3, 0.2]])
    (dot,) = plot([row])["ep"].dots
    assert (dot.x, dot.label) == (30, "one")
    assert dot.y.mean == pytest.approx(((0.3 + 0.7) / 2 + (-0.2 + 0.1) / 2) / 2)
    assert dot.y.images == 2 and dot.y.low < dot.y.mean < dot.y.high


def test_a_line_joins_what_is_best_by_then_and_free_rows_are_levels():
    rows = [
        level("ours", "inr", 128, 0.5),
        level("start", "start", 8, 0.1),
        level("worse", "inr", 200, 0.4),
        level("quick", "inr", 40, 0.3),
        level("slip", "inr", 60, 0.2),
        level("ep", "ep", 3200, 0.45),
        level("centre", "centre", 0, -0.1),
    ]
    lines = plot(rows)
    assert set(lines) == {"inr", "ep", "centre"}
    assert lines["inr"].joined == [
        (8, pytest.approx(0.1)),
        (40, pytest.approx(0.3)),
        (128, pytest.approx(0.5)),
    ]
    assert [dot.label for dot in lines["inr"].dots] == ["ours", "start", "worse", "quick", "slip"]
    assert lines["centre"].level == pytest.approx(-0.1) and not lines["centre"].dots


def test_dots_are_drawn_where_they_stand_on_a_logarithmic_axis():
    places = [(1, 0.1), (10, 0.5), (1000, 0.3)]
    lines = [
        Line(name=str(n), dots=[Dot(x, mean_interval([y]))]) for n, (x, y) in enumerate(places)
    ]
    page = draw_plots([Plot(title="t", x="x", y="y", lines=lines, log=True)])
    (x0, y0), (x1, y1), (x2, y2) = (middle(page, colour) for colour in PALETTE[:3])
    assert (x2 - x0) / (x1 - x0) == pytest.approx(3, abs=0.05)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(2, abs=0.05)


def test_plots_stand_below_each_other_also_of_free_rows_alone():
    rows = [level("centre", "centre", 0, 0.2), level("random", "random", 0, 0.1)]
    whole = MetricsTable(pa.concat_tables([row.table for row in rows]))
    one = anytime_plot(rows, whole, "free")
    nothing = anytime_plot([], whole, "nothing")
    page, more = draw_plots([one]), draw_plots([one, one, nothing])
    assert (
        more.height > 2.5 * page.height
        and middle(page, PALETTE[0])[1] < middle(page, PALETTE[1])[1]
    )
