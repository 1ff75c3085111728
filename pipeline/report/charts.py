"""Charts as inline SVG; their colours are those of the page's style sheet, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.report.markup import Markup, element, percent
from pipeline.report.totals import AreaTotals, Spread

WIDTH, HEIGHT = 440, 300
LEFT, TOP, RIGHT, BOTTOM = 48, 16, 16, 46  # margins
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def curves(areas: Sequence[AreaTotals], whole: float) -> Markup:
    """Mean scores over areas, with bands; a dashed line at the score of the whole image."""
    widest = max(a.area for a in areas) * 1.08
    places = [_across(a.area / widest) for a in areas]
    marks = [f"{100 * a.area:g}" for a in areas]
    return _chart(
        "Mean scores kept and removed over areas, with bands from the 10th to the 90th percentile",
        *_frame("score", [f"{t:g}" for t in TICKS], TICKS),
        *_bottom(places, marks, "area of the mask, % of the image"),
        _line(LEFT, _up(whole), WIDTH - RIGHT, _up(whole), "whole"),
        _band(places, [a.removed for a in areas], "removed"),
        _band(places, [a.kept for a in areas], "kept"),
        *_curve(places, [a.removed for a in areas], "removed"),
        *_curve(places, [a.kept for a in areas], "kept"),
    )


def bars(shares: Mapping[str, float], label: str) -> Markup:
    """A bar for each name, as high as its share, in [0, 1]; the share stands over it."""
    step = 1 / max(1, len(shares))
    middles = [_across((n + 0.5) * step) for n in range(len(shares))]
    wide = min(56.0, 0.6 * step * (WIDTH - LEFT - RIGHT))
    drawn = []
    for x, share in zip(middles, shares.values(), strict=True):
        y = _up(share)
        left, high = f"{x - wide / 2:.1f}", f"{_up(0) - y:.1f}"
        box = element("rect", x=left, y=f"{y:.1f}", width=f"{wide:.1f}", height=high, class_="bar")
        drawn += [box, _text(x, y - 5, percent(share, 0), "middle")]
    return _chart(
        f"Share of the images by {label}",
        *_frame("% of the images", [f"{100 * t:g}" for t in TICKS], TICKS),
        *_bottom(middles, list(shares), label),
        *drawn,
    )


def _chart(title: str, *children: Markup) -> Markup:
    size = f"0 0 {WIDTH} {HEIGHT}"
    named = element("title", title)
    return element("svg", named, *children, class_="chart", view_box=size, role="img")


def _frame(label: str, names: Sequence[str], values: Sequence[float]) -> list[Markup]:
    """Lines across with their values, and the label of the upright axis."""
    middle = (_up(0) + _up(1)) / 2
    turned = f"rotate(-90 12 {middle:g})"
    drawn = [element("text", label, x=12, y=middle, text_anchor="middle", transform=turned)]
    for name, value in zip(names, values, strict=True):
        drawn.append(_line(LEFT, _up(value), WIDTH - RIGHT, _up(value), "grid"))
        drawn.append(_text(LEFT - 6, _up(value) + 4, name, "end"))
    return drawn


def _bottom(places: Sequence[float], names: Sequence[str], label: str) -> list[Markup]:
    """Names under their places, those left out that would touch; and the axis' label."""
    drawn = [_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, label, "middle")]
    free = 0.0
    for x, name in zip(places, names, strict=True):
        half = 3.6 * len(name)
        if x - half >= free:
            drawn.append(_text(x, HEIGHT - BOTTOM + 18, name, "middle"))
            free = x + half + 4
    return drawn


def _band(places: Sequence[float], spreads: Sequence[Spread], name: str) -> Markup:
    upper = [f"{x:.1f},{_up(s.high):.1f}" for x, s in zip(places, spreads, strict=True)]
    lower = [f"{x:.1f},{_up(s.low):.1f}" for x, s in zip(places, spreads, strict=True)]
    return element("polygon", points=" ".join(upper + lower[::-1]), class_=f"band {name}")


def _curve(places: Sequence[float], spreads: Sequence[Spread], name: str) -> list[Markup]:
    means = [(x, _up(s.mean)) for x, s in zip(places, spreads, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in means)
    return [
        element("polyline", points=line, class_=f"line {name}"),
        *(_marker(x, y, name) for x, y in means),
    ]


def _marker(x: float, y: float, name: str) -> Markup:
    """A disc for kept, a square for removed: not colour alone tells them apart."""
    if name == "kept":
        return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4, class_=f"dot {name}")
    corner = {"x": f"{x - 3.5:.1f}", "y": f"{y - 3.5:.1f}"}
    return element("rect", **corner, width=7, height=7, class_=f"dot {name}")


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> Markup:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return element("line", **ends, class_=name)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
