"""Tables of ranked rows, which say below what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

SHOWN = 20  # rows


def ranked(*names: str, head: Mapping[str, str], of: int, rows: str, also: str = "") -> Table:
    """A table to which the first SHOWN of `of` rows are to be added.

    names  of the first columns, which need no words; those after the class are figures
    head   names of the other columns, and what they mean
    also   what else is to be said
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(names[0], overflow="fold")
    for name in names[1:]:
        table.add_column(name, justify="right")
    for name in head:
        table.add_column(name, justify="right", no_wrap=True)
    words = [f"{name}: {meaning}" for name, meaning in head.items() if meaning]
    words += [also] * bool(also)
    words += [f"{of - SHOWN} further {rows}"] * (of > SHOWN)
    table.caption, table.caption_justify = "; ".join(words), "left"
    return table
