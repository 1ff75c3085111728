"""Plots of intervals against a number: dots, the lines that join them, and levels."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pipeline.results.intervals import Interval

WIDTH, HEIGHT = 660, 400
PALETTE = (  # of the lines in turn
    "#f58518",
    "#4c78a8",
    "#54a24b",
    "#e45756",
    "#b279a2",
    "#72b7b2",
    "#9d755d",
    "#eeca3b",
    "#ff9da6",
    "#79706e",
)


@dataclass(frozen=True, slots=True)
class Dot:
    """A mean with its interval at a place of the x axis, and the word that stands beside it."""

    x: float
    y: Interval
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What belongs together, in one colour.

    joined  (x, y) of a line through them; level: of a dashed line across the whole plot
    stepped whether the line stays level until its next place
    """

    name: str
    dots: Sequence[Dot] = ()
    joined: Sequence[tuple[float, float]] = ()
    level: float | None = None
    stepped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Lines over one pair of axes; x and y are their titles."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log: bool = False


def draw_plots(plots: Sequence[Plot]) -> Image.Image:
    """The plots, one below the other."""
    import vl_convert  # starts an engine of its own: only where a plot is made

    spec = {
        "padding": 12,
        "background": "white",
        "vconcat": [_spec(plot) for plot in plots],
        "resolve": {"scale": {"color": "independent"}},
    }
    return Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec)), formats=["PNG"]).convert("RGB")


def _spec(plot: Plot) -> dict[str, Any]:
    left, right = _ends(plot)
    dots = [_dot(line, dot) for line in plot.lines for dot in line.dots]
    joined = {
        stepped: [
            {"line": line.name, "x": x, "y": y}
            for line in plot.lines
            if line.stepped == stepped
            for x, y in line.joined
        ]
        for stepped in (False, True)
    }
    levels = [
        {"line": line.name, "x": left, "y": line.level, "right": right}
        | {"label": "" if line.dots else line.name}
        for line in plot.lines
        if line.level is not None
    ]
    right_of = {"type": "text", "align": "left", "dx": 7, "dy": -8, "fontSize": 12}
    words = {"text": {"field": "label"}, "color": {"value": "black"}}
    return {
        "title": {"text": plot.title, "anchor": "start"},
        "width": WIDTH,
        "height": HEIGHT,
        "encoding": {
            "x": _axis(plot, "x"),
            "y": _axis(plot, "y"),
            "color": _colour(plot.lines),
        },
        "layer": [
            {
                "data": {"values": levels},
                "mark": {"type": "rule", "strokeDash": [5, 4]},
                "encoding": {"x2": {"field": "right"}},
            },
            {"data": {"values": levels}, "mark": right_of, "encoding": words},
            {
                "data": {"values": dots},
                "mark": {"type": "rule", "opacity": 0.45},
                "encoding": {"y": _axis(plot, "low"), "y2": {"field": "high"}},
            },
            *(
                {
                    "data": {"values": values},
                    "mark": {"type": "line", "interpolate": "step-after" if stepped else "linear"},
                }
                for stepped, values in joined.items()
            ),
            {"data": {"values": dots}, "mark": {"type": "circle", "size": 80, "opacity": 1}},
            {"data": {"values": dots}, "mark": right_of, "encoding": words},
        ],
    }


def _dot(line: Line, dot: Dot) -> dict[str, Any]:
    mean, low, high = (
        value if math.isfinite(value) else dot.y.mean
        for value in (dot.y.mean, dot.y.low, dot.y.high)
    )
    place = {"line": line.name, "x": dot.x, "label": dot.label}
    return {**place, "y": mean, "low": low, "high": high}


def _ends(plot: Plot) -> tuple[float, float]:
    """First and last place of the x axis."""
    places = [dot.x for line in plot.lines for dot in line.dots]
    return min(places, default=1.0), max(places, default=1.0)


def _axis(plot: Plot, field: str) -> dict[str, Any]:
    """Not from zero: what differs is small."""
    scale: dict[str, Any] = {"zero": False, "padding": 24}
    if field == "x" and plot.log:
        scale["type"] = "log"
    title = plot.x if field == "x" else plot.y
    return {"field": field, "type": "quantitative", "title": title, "scale": scale}


def _colour(lines: Sequence[Line]) -> dict[str, Any]:
    names = [line.name for line in lines]
    scale = {"domain": names, "range": [PALETTE[n % len(PALETTE)] for n in range(len(names))]}
    return {"field": "line", "type": "nominal", "scale": scale, "legend": None}
