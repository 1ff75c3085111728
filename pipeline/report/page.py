"""The page: its figures put in words and handed to the templates, which escape everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import Any

from pipeline.certificates import AreaCertificates
from pipeline.paths import all_redacted, redacted
from pipeline.regions import ClassContext
from pipeline.report import charts
from pipeline.report.comparison import Comparison
from pipeline.report.failures import Failures
from pipeline.report.measured import Measured
from pipeline.report.patterns import SHOWN, CueList
from pipeline.report.settings import Facts
from pipeline.report.text import DASH, figure, percent, printable
from pipeline.report.totals import ClassTotals, Spread, Totals
from pipeline.results import Interval

CLASSES = 1000  # rows of the table of classes
SCRIPTS = ("tables", "pictures", "state", "verdicts", "filters", "cards", "patterns", "gallery")
Cell = str | tuple[str, str]  # a figure, and what stands around it


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What goes into a page.

    title, images  what was explained by what; how many images are explained, failed and to go
    facts          main settings; `settings`: all of them
    meanings       of the metrics, by name
    sampling       which images the gallery shows; lost: (id, reason) of those it cannot
    data           for the page's script
    """

    title: str
    uri: str
    images: str
    facts: Facts
    settings: Facts
    totals: Totals
    cues: CueList | None
    context: Sequence[ClassContext]
    comparisons: Sequence[Comparison]
    changes: Sequence[Mapping[str, Any]]
    measured: Measured | None
    certificates: Sequence[AreaCertificates]
    meanings: Mapping[str, str]
    failures: Failures
    sampling: str
    lost: Sequence[tuple[str, str]]
    data: Mapping[str, Any]


def page(content: Content) -> str:
    """A whole HTML document, with nothing outside it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # no other command needs it

    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "figure": figure}
    environment.globals["asset"] = _asset
    return environment.get_template("page.html").render(_variables(content))


def _variables(content: Content) -> dict[str, Any]:
    totals = content.totals
    shown = {name: getattr(content, name) for name in content.__slots__}
    shown |= {
        "data": all_redacted(content.data),
        "facts_": content.facts,
        "sections": _sections(content),
        "shown_patterns": SHOWN,
        "failures": _failures(content.failures),
        "metrics": _metrics(content),
        "certified": [_certified(c) for c in content.certificates],
        "context": [_context(c) for c in content.context[:CLASSES]],
        "further_context": len(content.context[CLASSES:]),
        "comparisons": [_comparison(c) for c in content.comparisons],
    }
    if totals.images:
        shown |= {
            "tiles": _tiles(totals),
            "charts": _charts(totals),
            "sufficient": totals.images - totals.minimal[None],
            "areas": [
                (percent(a.area), _spread(a.kept), _spread(a.removed), f"{a.images}")
                for a in totals.areas
            ],
            "classes": [_class(c) for c in totals.classes[:CLASSES]],
            "further_classes": len(totals.classes[CLASSES:]),
        }
    return shown


def _sections(content: Content) -> list[tuple[str, str]]:
    """Template and title of what there is, in the order of a reader's questions."""
    some = content.totals.images > 0
    every = [
        ("run", "What was run", True),
        ("needs", "What the model needs", some),
        ("patterns", "Patterns", content.cues is not None),
        ("context", "Without the object", bool(content.context)),
        ("comparison", "Against other runs", some and bool(content.comparisons)),
        ("diff", "What has changed", bool(content.changes)),
        ("gallery", "Gallery", some or bool(content.failures.cards)),
        ("review", "Review", some),
        ("metrics", "Metrics", content.measured is not None),
        ("certificates", "Certificates", bool(content.certificates)),
        ("classes", "Classes", some),
        ("failures", "Failures", bool(content.failures.reasons)),
    ]
    return [(id_, title) for id_, title, there in every if there]


def _asset(name: str) -> Any:
    """A file of this package, or all of its scripts; none has text that would end its element."""
    from markupsafe import Markup

    folder = files("pipeline.report")
    paths = (
        [folder / "scripts" / f"{n}.js" for n in SCRIPTS] if name == "scripts" else [folder / name]
    )
    return Markup("\n".join(path.read_text(encoding="utf-8") for path in paths))


def _printable(value: Any) -> Any:
    return printable(redacted(value)) if type(value) is str else value  # markup is a subclass


def _tiles(totals: Totals) -> list[tuple[str, str]]:
    """The few figures to read first."""
    middle = next(a for a in totals.areas if a.area == totals.middle)
    sufficient = totals.images - totals.minimal[None]
    several = sum(count for rounds, count in totals.rounds.items() if rounds > 1)
    share = percent(totals.middle)
    shown = [
        (figure(totals.score), "mean score of the whole image"),
        (figure(middle.kept.mean), f"kept by the {share} inside the mask"),
        (figure(middle.removed.mean), f"left when those {share} are removed"),
        (
            percent(sufficient / totals.images, 0),
            f"have a mask that keeps {percent(0.9)} of the score "
            f"({sufficient} of {totals.images} images)",
        ),
    ]
    if several:
        text = f"have several explanations that do not overlap ({several} images)"
        shown.append((percent(several / totals.images, 0), text))
    return shown


def _charts(totals: Totals) -> dict[str, Any]:
    areas = [a.area for a in totals.areas]
    known = [(area, count) for area, count in totals.minimal.items() if area is not None]
    minimal = {
        percent(high): sum(n for area, n in known if low < area <= high) / totals.images
        for low, high in pairwise([0.0, *areas])
    }
    minimal["none"] = totals.minimal[None] / totals.images
    rounds = {f"{n}": totals.rounds[n] / totals.images for n in sorted(totals.rounds)}
    return {
        "curves": charts.curves(totals.areas, totals.score or 0.0),
        "minimal": charts.bars(minimal, "smallest sufficient area"),
        "rounds": charts.bars(rounds, "number of rounds") if max(totals.rounds) > 1 else "",
    }


def _class(c: ClassTotals) -> tuple[Cell, ...]:
    scores = (figure(value) for value in (c.score, c.kept, c.removed))
    smallest = percent(c.minimal_area, 1)
    return (c.name, f"{c.images}", *scores, smallest, f"{c.sufficient}")


def _context(c: ClassContext) -> tuple[str, ...]:
    scores = (c.score, c.score_object, c.score_context, c.score_nothing, c.reliance)
    return (c.name, *map(figure, scores), f"{c.images}")


def _certified(c: AreaCertificates) -> tuple[str, ...]:
    shares = (percent(c.right), percent(c.certified), percent(c.sure))
    return (f"{c.round}", percent(c.area), f"{c.masks}", *shares)


def _failures(failures: Failures) -> list[tuple[str, str, str]]:
    rows = [(stage, reason, f"{count}") for stage, reason, count in failures.reasons]
    reasons, images = failures.further
    return [*rows, ("", f"{reasons} further reasons", f"{images}")] if reasons else rows


def _metrics(content: Content) -> list[dict[str, Any]]:
    """A row for each run, a column for each area."""
    return [
        {
            "name": m.name,
            "meaning": content.meanings[m.name],
            "head": ["run", *("mean" if a is None else percent(a) for a in m.areas)],
            "rows": [(run, *map(_interval, found)) for run, found in m.runs.items()],
        }
        for m in (content.measured.metrics if content.measured else ())
    ]


def _comparison(c: Comparison) -> dict[str, Any]:
    names = {"score": "score of the whole image", "minimal_area": "smallest area"}
    rows = [
        (
            names.get(d.name, d.name.removeprefix("score_")),
            percent(d.area) if d.area is not None else "",
            figure(d.first),
            figure(d.second),
            _interval(d.difference, "+"),
            f"{d.difference.images}",
        )
        for d in c.differences
    ]
    return {name: getattr(c, name) for name in c.__slots__} | {"rows": rows}


def _spread(spread: Spread) -> Cell:
    return figure(spread.mean), f"{figure(spread.low)} to {figure(spread.high)}"


def _interval(found: Interval | None, sign: str = "") -> Cell:
    if found is None:
        return DASH
    return figure(found.mean, sign), f"[{figure(found.low, sign)}, {figure(found.high, sign)}]"
