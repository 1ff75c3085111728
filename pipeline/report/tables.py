"""Tables of the page; a column of figures can be sorted where the page's script runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inr_core.metrics import Interval
from pipeline.report.markup import Markup, element, percent
from pipeline.report.measured import Metric
from pipeline.report.totals import ClassTotals, Spread, Totals

REASONS = 50  # rows of the table of failures


def areas_table(totals: Totals) -> Markup:
    """The figures of the curves."""
    rows = [
        [percent(a.area), _spread(a.kept), _spread(a.removed), f"{a.images}"] for a in totals.areas
    ]
    head = ["area", "kept", "removed", "images"]
    return table(head, rows)


def classes_table(classes: Sequence[ClassTotals]) -> Markup:
    """A row for each class."""
    rows = [
        [
            c.name,
            f"{c.images}",
            f"{c.score:.2f}",
            f"{c.kept:.2f}",
            f"{c.removed:.2f}",
            "-" if c.minimal_area is None else percent(c.minimal_area, 1),
            f"{c.sufficient}",
        ]
        for c in classes
    ]
    head = ["class", "images", "score", "kept", "removed", "smallest area", "have one"]
    return table(head, rows, sortable=True)


def failures_table(failures: Sequence[tuple[tuple[str, str], int]]) -> Markup:
    """The most frequent reasons, with the number of the others."""
    rows = [[stage, reason, f"{count}"] for (stage, reason), count in failures[:REASONS]]
    rest = failures[REASONS:]
    if rest:
        images = sum(count for _, count in rest)
        rows.append(["", f"{len(rest)} further reasons", f"{images}"])
    return table(["stage", "reason", "images"], rows, words=2)


def metric_table(metric: Metric, meaning: str, own: str) -> Markup:
    """A row for each run, a column for each area."""
    head = ["run", *("mean" if a is None else percent(a) for a in metric.areas)]
    rows = [[run, *(_interval(i) for i in found)] for run, found in metric.runs.items()]
    caption = element("figcaption", element("strong", metric.name), f" {meaning}")
    return element("figure", caption, table(head, rows, bold=own))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: int = 1,
    sortable: bool = False,
    bold: str | None = None,
) -> Markup:
    """A table that scrolls in its own box.

    words  columns of text, in front; the others are figures
    bold   first cell of the row to stand out
    """
    names = [_cell("th", n, name, words) for n, name in enumerate(head)]
    lines = [
        element(
            "tr",
            *(_cell("td", n, value, words) for n, value in enumerate(row)),
            class_="own" if bold is not None and row[0] == bold else None,
        )
        for row in rows
    ]
    parts = [element("thead", element("tr", *names)), element("tbody", *lines)]
    kind = "sortable" if sortable else None
    return element("div", element("table", *parts, class_=kind), class_="scroll", tabindex="0")


def _cell(name: str, column: int, value: str, words: int) -> Markup:
    scope = "col" if name == "th" else None
    return element(name, value, scope=scope, class_="number" if column >= words else None)


def _spread(spread: Spread) -> Markup:
    return _figures(spread.mean, f"{spread.low:.2f} to {spread.high:.2f}")


def _interval(found: Interval | None) -> Markup:
    if found is None:
        return Markup("-")
    return _figures(found.mean, f"[{found.low:.2f}, {found.high:.2f}]")


def _figures(mean: float, around: str) -> Markup:
    return element("span", f"{mean:.2f} ", element("small", around))
