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
ROOM = 1.4  # at both ends of a logarithmic axis, a factor
TEXT = {"type": "text", "align": "left", "fontSize": 12}
ABOVE, BELOW, BESIDE = ({**TEXT, "dx": dx, "dy": dy} for dx, dy in ((5, -10), (5, 14), (9, 1)))
RANGE = {"type": "rule", "opacity": 0.4}
ACROSS = {"x": {"value": 0}, "x2": {"value": WIDTH}}  # the whole plot
WORDS = {"text": {"field": "label"}, "color": {"value": "black"}}
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
    """A mean with its interval at a place of the x axis, and the word that stands beside it.

    ends  of the interval of x, if it has one
    """

    x: float
    y: Interval
    label: str = ""
    ends: tuple[float, float] | None = None


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
    dots = [_dot(line, dot) for line in plot.lines for dot in line.dots]
    wide = [dot for dot in dots if "left" in dot]
    levels = [
        {"line": line.name, "y": line.level, "label": "" if line.dots else line.name}
        for line in plot.lines
        if line.level is not None
    ]
    joined = {stepped: _joined(plot, stepped=stepped) for stepped in (False, True)}
    layers = [
        _layer(levels, {"type": "rule", "strokeDash": [5, 4], "size": 2}, **ACROSS),
        _layer(levels, BELOW, **WORDS, x={"value": WIDTH / 2}),
        _layer(dots, RANGE, y=_axis(plot, "low"), y2={"field": "high"}),
        _layer(wide, RANGE, x=_axis(plot, "left"), x2={"field": "right"}),
        _layer(joined[False], {"type": "line"}),
        _layer(joined[True], {"type": "line", "interpolate": "step-after"}),
        _layer(dots, {"type": "circle", "size": 80, "opacity": 1}),
        *(_layer(some, mark, **WORDS) for some, mark in _labelled(dots, _ends(plot)[1])),
    ]
    axes = {"x": _axis(plot, "x"), "y": _axis(plot, "y")}
    return {
        "title": {"text": plot.title, "anchor": "start"},
        "width": WIDTH,
        "height": HEIGHT,
        "encoding": {**axes, "color": _colour(plot.lines)},
        "layer": layers,
    }


def _layer(values: list[dict[str, Any]], mark: dict[str, Any], **encoding: Any) -> dict[str, Any]:
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def _joined(plot: Plot, *, stepped: bool) -> list[dict[str, Any]]:
    lines = (line for line in plot.lines if line.stepped == stepped)
    return [{"line": line.name, "x": x, "y": y} for line in lines for x, y in line.joined]


def _labelled(
    dots: list[dict[str, Any]], right: float
) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Dots by where their words stand: neighbours in turn above and below, the last ones beside."""
    inner = sorted((dot for dot in dots if dot["x"] < right), key=lambda dot: dot["x"])
    last = [dot for dot in dots if dot["x"] == right]
    return [(inner[::2], ABOVE), (inner[1::2], BELOW), (last, BESIDE)]


def _dot(line: Line, dot: Dot) -> dict[str, Any]:
    low, high = _known(dot.y.mean, (dot.y.low, dot.y.high))
    place = {"line": line.name, "label": dot.label, "x": dot.x, "y": dot.y.mean}
    if dot.ends is not None:
        place |= dict(zip(("left", "right"), _known(dot.x, dot.ends), strict=True))
    return {**place, "low": low, "high": high}


def _known(mean: float, ends: tuple[float, float]) -> list[float]:
    """The ends of an interval; the mean in place of those that are unknown."""
    return [end if math.isfinite(end) else mean for end in ends]


def _ends(plot: Plot) -> tuple[float, float]:
    """First and last place of the x axis."""
    places = [dot.x for line in plot.lines for dot in line.dots]
    return min(places, default=1.0), max(places, default=1.0)


def _axis(plot: Plot, field: str) -> dict[str, Any]:
    """Not from zero: what differs is small."""
    is_x = field in ("x", "left")
    title = plot.x if is_x else plot.y
    axis: dict[str, Any] = {"field": field, "type": "quantitative", "title": title}
    if not is_x or not plot.log:
        return {**axis, "scale": {"zero": False, "padding": 24}}
    left, right = _ends(plot)
    low, high = left / ROOM, right * ROOM
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    values = [v for n in decades for m in (1, 2, 5) if low <= (v := m * 10.0**n) <= high]
    scale = {"type": "log", "domain": [low, high]}
    return {**axis, "scale": scale, "axis": {"values": values, "format": "~r"}}


def _colour(lines: Sequence[Line]) -> dict[str, Any]:
    names = [line.name for line in lines]
    scale = {"domain": names, "range": [PALETTE[n % len(PALETTE)] for n in range(len(names))]}
    return {"field": "line", "type": "nominal", "scale": scale, "legend": None}
