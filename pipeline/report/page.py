"""The page: sections in the order of a reader's questions - what, how good, what it looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from pipeline.report import charts
from pipeline.report.examples import Example, Unreadable
from pipeline.report.markup import Markup, element, join, percent
from pipeline.report.measured import Measured
from pipeline.report.pictures import gallery
from pipeline.report.settings import Facts
from pipeline.report.tables import areas_table, classes_table, failures_table, metric_table
from pipeline.report.totals import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What goes into a page.

    title, images  what was explained by what; how many images are explained, failed and to go
    facts          main settings; `settings`: all of them
    failures       ((stage, reason), images), most first
    meanings       of the metrics, by name
    """

    title: str
    images: str
    facts: Facts
    settings: Facts
    totals: Totals
    failures: Sequence[tuple[tuple[str, str], int]]
    examples: Sequence[Example | Unreadable]
    measured: Measured | None
    meanings: Mapping[str, str]


def page(content: Content) -> str:
    """A whole HTML document, with nothing outside it."""
    sections = (
        [_scores(content.totals), _metrics(content), gallery(content.examples, content.totals)]
        if content.totals.images
        else [element("p", "No image of this run is explained yet.", class_="empty")]
    )
    body = element(
        "body",
        element("header", element("h1", content.title), element("p", content.images)),
        element(
            "main",
            _tiles(content.totals),
            _settings(content),
            *sections,
            _classes(content.totals),
            _failures(content),
        ),
        element("script", _asset("page.js")),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", content.title),
        element("style", _asset("page.css")),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _asset(name: str) -> Markup:
    """A file beside this one; it has no text that would end its element."""
    return Markup((files("pipeline.report") / name).read_text(encoding="utf-8"))


def _tiles(totals: Totals) -> Markup:
    """The few figures to read first."""
    if totals.score is None:
        return Markup("")
    middle = next(a for a in totals.areas if a.area == totals.middle)
    sufficient = totals.images - totals.minimal[None]
    several = sum(count for rounds, count in totals.rounds.items() if rounds > 1)
    share = percent(totals.middle)
    shown = [
        (f"{totals.score:.2f}", "mean score of the whole image"),
        (f"{middle.kept.mean:.2f}", f"kept by the {share} inside the mask"),
        (f"{middle.removed.mean:.2f}", f"left when those {share} are removed"),
        (
            percent(sufficient / totals.images, 0),
            f"have a mask that keeps {percent(0.9)} of the score",
        ),
    ]
    if max(totals.rounds) > 1:
        text = "have several explanations that do not overlap (rounds)"
        shown.append((percent(several / totals.images, 0), text))
    tiles = [
        element("li", element("strong", value), element("span", text)) for value, text in shown
    ]
    return element("ul", *tiles, class_="tiles")


def _scores(totals: Totals) -> Markup:
    curve = element(
        "figure",
        element("figcaption", "Scores kept and removed"),
        charts.curves(totals.areas, totals.score or 0.0),
        element(
            "p",
            element("span", "kept", class_="key kept"),
            element("span", "removed", class_="key removed"),
            element("span", "whole image", class_="key whole"),
            class_="keys",
        ),
    )
    minimal = element(
        "figure",
        element("figcaption", f"Smallest area that keeps {percent(0.9)}"),
        charts.bars(_minimal_shares(totals), "smallest sufficient area, % of the image"),
    )
    rounds = element(
        "figure",
        element("figcaption", "Explanations that do not overlap"),
        charts.bars(
            {f"{n}": totals.rounds[n] / totals.images for n in sorted(totals.rounds)},
            "number of rounds",
        ),
    )
    shown = [curve, minimal, *([rounds] if max(totals.rounds) > 1 else [])]
    note = (
        "Scores are the classifier's probability of the explained class, for the best restart of "
        "round 0: kept, with only the mask shown; removed, with the mask perturbed. Lines "
        "and large figures are means over images; bands and small figures go from the 10th to the "
        "90th percentile."
    )
    return _section(
        "Scores", element("p", note), element("div", *shown, class_="figures"), areas_table(totals)
    )


def _minimal_shares(totals: Totals) -> dict[str, float]:
    areas = [a.area for a in totals.areas]
    shares = {f"{100 * area:g}": totals.minimal[area] / totals.images for area in areas}
    return shares | {"none": totals.minimal[None] / totals.images}


def _metrics(content: Content) -> Markup:
    if content.measured is None:
        return Markup("")
    tables = [
        metric_table(m, content.meanings[m.name], content.measured.own)
        for m in content.measured.metrics
    ]
    note = join(
        "Measured by ",
        element("code", "xaipipe evaluate"),
        f" in one way for every run, with hard masks: means over {content.measured.images} images "
        f"and their {percent(0.95)} bootstrap intervals. This report's run is in bold.",
    )
    return _section("Metrics", element("p", note), element("div", *tables, class_="metrics"))


def _classes(totals: Totals) -> Markup:
    if not totals.classes:
        return Markup("")
    note = (
        f"Means over the images of a class, lowest kept score first; kept and removed at "
        f"{percent(totals.middle)} of the image. The smallest area is that of the images that "
        "have one."
    )
    return _section("Classes", element("p", note), classes_table(totals.classes))


def _failures(content: Content) -> Markup:
    if not content.failures:
        return Markup("")
    note = "Images that were not explained, by the reason of their last attempt."
    return _section("Failures", element("p", note), failures_table(content.failures))


def _settings(content: Content) -> Markup:
    """The main ones in sight, all of them on demand."""
    every = element("details", element("summary", "All settings"), _list(content.settings))
    return _section("Run", _list(content.facts), every)


def _list(pairs: Facts) -> Markup:
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", *rows)


def _section(title: str, *children: Markup) -> Markup:
    return element("section", element("h2", title), *children)
