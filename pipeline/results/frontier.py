"""The frontier: a plot of runs, of how much scores tell for a mask against how compact it is."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from PIL import Image

from pipeline.images import COLOURS
from pipeline.results.intervals import Interval, mean_interval

SCORES = ("kept", "removed")  # metrics whose difference goes up
SHAPE = "perimeter"  # goes to the right
PLOTTED = (*SCORES, SHAPE)
TITLES = {
    "x": "perimeter over that of a disc: rounder is left",
    "y": "score kept - score removed: up is better",
}


@dataclass(frozen=True, slots=True)
class Point:
    """A run: its name, and two metrics with their intervals."""

    name: str
    x: Interval
    y: Interval


def points_of(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Each run of these rows of a `MetricsTable`: its perimeter, and how far its scores are apart.

    All are means over areas, then over images (each class of one for itself).
    """
    by_run: dict[str, dict[tuple[str, int], dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in rows:
        if row["metric"] in PLOTTED:
            by_run[row["run"]][row["id"], row["target"]][row["metric"]].append(row["value"])
    return [_point(run, list(images.values())) for run, images in by_run.items()]


def _point(run: str, images: Sequence[Mapping[str, Sequence[float]]]) -> Point:
    kept, removed = SCORES
    apart = [mean(image[kept]) - mean(image[removed]) for image in images]
    around = [mean(image[SHAPE]) for image in images]
    return Point(run, *map(mean_interval, (around, apart)))


def draw_frontier(points: Sequence[Point]) -> Image.Image:
    """A dot for each run, its 95 % intervals as lines; the best runs are at the upper left."""
    import vl_convert  # starts an engine of its own: only where a plot is made

    lines = [
        {
            "mark": "rule",
            "encoding": {axis: _axis(axis, "low"), f"{axis}2": {"field": f"{axis}high"}},
        }
        for axis in TITLES
    ]
    name = {"type": "text", "align": "left", "dx": 9, "dy": -9, "fontSize": 13}
    words = {"text": {"field": "name"}, "color": {"value": "black"}}
    colours = {"range": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in COLOURS]}
    colour = {"field": "name", "type": "nominal", "sort": None, "scale": colours, "legend": None}
    spec = {
        "width": 660,
        "height": 430,
        "padding": 12,
        "background": "white",
        "data": {"values": [_row(point) for point in points]},
        "encoding": {axis: _axis(axis, "mean") for axis in TITLES} | {"color": colour},
        "layer": [
            *lines,
            {"mark": {"type": "circle", "size": 110, "opacity": 1}},
            {"mark": name, "encoding": words},
        ],
    }
    return Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec)), formats=["PNG"]).convert("RGB")


def _row(point: Point) -> dict[str, Any]:
    ends = {
        f"{axis}{end}": value if math.isfinite(value := getattr(interval, end)) else interval.mean
        for axis, interval in (("x", point.x), ("y", point.y))
        for end in ("mean", "low", "high")
    }
    return {"name": point.name, **ends}


def _axis(axis: str, end: str) -> dict[str, Any]:
    """Not from zero: what differs between runs is small."""
    scale = {"zero": False, "padding": 24}
    title = TITLES[axis]
    return {"field": f"{axis}{end}", "type": "quantitative", "title": title, "scale": scale}
