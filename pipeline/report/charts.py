"""Plots: Vega-Lite, drawn as SVG when the page is made, so that it needs no script for them.

Colours are those of the page's style sheet, which knows light from dark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pipeline.report.text import percent
from pipeline.report.totals import AreaTotals

Spec = dict[str, Any]
SCORES = ["kept", "removed"]
_NAMESPACES = re.compile(r' xmlns(:\w+)?="[^"]*"')  # HTML needs none
_AXIS = {f"{part}Color": "var(--soft)" for part in ("label", "title")} | {
    f"{part}Color": "var(--rule)" for part in ("domain", "grid", "tick")
}
_CONFIG = {
    "font": "system-ui, sans-serif",
    "axis": _AXIS | {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "text": {"fontSize": 12},
    "view": {"stroke": None},
}
_COMMON: Spec = {"background": "transparent", "config": _CONFIG, "width": 300, "height": 200}


def curves(areas: Sequence[AreaTotals], whole: float) -> Markup:
    """Mean scores over areas, with bands; a dashed line at the score of the whole image."""
    rows = [
        {"score": name, "area": a.area, "mean": s.mean, "low": s.low, "high": s.high}
        for a in areas
        for name, s in (("kept", a.kept), ("removed", a.removed))
    ]
    axis = {"format": "~%", "values": [a.area for a in areas], "labelOverlap": True}
    across = {"field": "area", "type": "quantitative", "title": "area of the mask", "axis": axis}
    mean, line, point = _share("mean", "score"), {"type": "line"}, {"type": "point"}
    rule = {"type": "rule", "strokeDash": [4, 4], "color": "var(--ink)"}
    layers = [
        _layer({"type": "area", "opacity": 0.18}, y=_share("low", "score"), y2={"field": "high"}),
        _layer(line | {"strokeWidth": 2.5}, y=mean, strokeDash=_by_score([[1, 0], [8, 3]])),
        _layer(
            point | {"filled": True, "size": 60, "opacity": 1},
            y=mean,
            shape=_by_score(["circle", "square"]),
        ),
        _layer(rule, y={"datum": whole}, x=None, color=None),
    ]
    encoding = {"x": across, "color": _by_score(["var(--kept)", "var(--removed)"])}
    title = (
        "Mean scores kept and removed over areas, with bands from the 10th to the 90th percentile; "
        "the figures are in the table below"
    )
    return _svg({"data": {"values": rows}, "encoding": encoding, "layer": layers}, title)


def bars(shares: Mapping[str, float], label: str) -> Markup:
    """A bar for each name, as high as its share, in [0, 1]; the share stands over it."""
    rows = [{"name": n, "share": s, "text": percent(s, 0)} for n, s in shares.items()]
    axis = {"labelAngle": 0, "labelOverlap": True}
    across = {"field": "name", "type": "nominal", "sort": None, "title": label, "axis": axis}
    up = _share("share", "images") | {"axis": {"format": "~%"}}
    layers = [
        _layer({"type": "bar", "color": "var(--bar)", "width": {"band": 0.6}}),
        _layer({"type": "text", "dy": -7, "color": "var(--soft)"}, text={"field": "text"}),
    ]
    said = ", ".join(f"{row['name']}: {row['text']}" for row in rows)
    spec = {"data": {"values": rows}, "encoding": {"x": across, "y": up}, "layer": layers}
    return _svg(spec, f"Share of the images by {label}: {said}")


def _layer(mark: Spec, **encoding: Any) -> Spec:
    return {"mark": mark, "encoding": encoding}


def _share(field: str, title: str) -> Spec:
    """What lies in [0, 1], along an axis that shows all of it."""
    scale = {"domain": [0, 1]}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale}


def _by_score(values: Sequence[Any]) -> Spec:
    scale = {"domain": SCORES, "range": values}
    return {"field": "score", "type": "nominal", "scale": scale, "legend": None}


def _svg(spec: Spec, title: str) -> Markup:
    """The drawing as one labelled picture; its parts say nothing to a screen reader."""
    import vl_convert  # starts an engine of its own: only where a page is made

    drawn = vl_convert.vegalite_to_svg(_COMMON | spec)
    inner = _NAMESPACES.sub("", drawn).partition(">")[2]
    width, height = re.findall(r'(?:width|height)="([\d.]+)"', drawn)[:2]
    head = Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}">')
    return head.format(title, width, height) + Markup(inner)
