"""Ranks of the rows of a comparison by each metric, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.table import Table

from jobs.console import Console
from pipeline import results

RANKS = "ranks of the rows by each metric, means over areas; 1 is the best"
TAUS = "Kendall's tau between the metrics' orders of the rows: 1 the same, -1 the reverse"


def show_ranks(ranks: results.Ranks, console: Console) -> None:
    """Two tables; metrics stand in columns by their numbers, which the second one explains."""
    numbers = [str(n) for n, _ in enumerate(ranks.means, 1)]
    console.print(f"\n{RANKS}", style="bold")
    console.print(_table(["metric", *numbers], _rank_rows(ranks)))
    console.print(f"\n{TAUS}", style="bold")
    named = [f"{n} {m}" for n, m in zip(numbers, ranks.means, strict=True)]
    console.print(_table(["", *numbers], _tau_rows(ranks, named)))
    if agreement := _agreement(ranks):
        console.print(agreement)


def ranks_in_markdown(ranks: results.Ranks) -> str:
    """Both tables."""
    metrics = list(ranks.means)
    parts = [
        f"{RANKS[0].upper()}{RANKS[1:]}:\n",
        *_markdown(["method", *metrics], _rank_rows(ranks)),
        f"\n{TAUS}:\n",
        *_markdown(["", *metrics], _tau_rows(ranks, metrics)),
        f"\n{_agreement(ranks)}",
    ]
    return "\n".join(parts).rstrip() + "\n"


def _rank_rows(ranks: results.Ranks) -> list[list[str]]:
    of_metrics = [ranks.ranks(metric) for metric in ranks.means]
    return [[row, *(str(own.get(row, "-")) for own in of_metrics)] for row in ranks.rows]


def _tau_rows(ranks: results.Ranks, names: Sequence[str]) -> list[list[str]]:
    """Below the diagonal, where each pair stands once."""
    taus, metrics = ranks.taus(), list(ranks.means)
    rows = []
    for n, name in enumerate(names):
        pairs = [(other, metrics[n]) for other in metrics[:n]]
        cells = [results.in_short(taus[pair]) if pair in taus else "-" for pair in pairs]
        rows.append([name, *cells, *("" for _ in metrics[n:])])
    return rows


def _agreement(ranks: results.Ranks) -> str:
    """A sentence; empty where there are no two rows to be put in order."""
    taus = ranks.taus()
    if not taus:
        return ""
    (one, other), least = min(taus.items(), key=lambda item: item[1])
    mean, low = results.in_short(fmean(taus.values())), results.in_short(least)
    return f"tau of two metrics is {mean} in the mean, and least between {one} and {other}: {low}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False)
    for column in head:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
