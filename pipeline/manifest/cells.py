"""Cells of a manifest: which kind of value a column of text or JSON holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

Cells = dict[str, Any]

ARROW = {"bool": pa.bool_(), "int64": pa.int64(), "double": pa.float64(), "string": pa.string()}
CONVERT: dict[str, Callable[[Any], Any]] = {
    "bool": lambda cell: str(cell).lower() == "true",
    "int64": int,
    "double": float,
    "string": lambda cell: (
        cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, sort_keys=True)
    ),
}
_TEXT = re.compile(
    r"""(?P<int64>-?(?:0|[1-9][0-9]{0,18}))
    |(?P<double>-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|NaN|-?inf)
    |(?P<bool>true|True|TRUE|false|False|FALSE)""",
    re.VERBOSE,
)


def kind_of_text(text: str) -> str:
    """Narrowest kind that holds this text; digits with a leading zero are a name, not a number."""
    match = _TEXT.fullmatch(text)
    kind = (match and match.lastgroup) or "string"
    if len(text) > 18 and text.lstrip("-").isdigit():  # may not fit, and a double would round it
        return "int64" if kind == "int64" and -(2**63) <= int(text) < 2**63 else "string"
    return kind


def kind_of_json(value: Any) -> str:
    """Kind of a JSON value; what is nested, or too large for 64 bits, becomes text."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**63 else "string"
    return "double" if isinstance(value, float) else "string"


class ColumnKinds:
    """Narrowest kind of each column that holds every cell seen so far."""

    def __init__(self, kind_of: Callable[[Any], str], text: Iterable[str]) -> None:
        self._kind_of = kind_of
        self._kinds = dict.fromkeys(text, "string")  # these columns are text whatever they hold

    def see(self, cells: Cells) -> None:
        kinds = self._kinds
        for name, cell in cells.items():
            known = kinds.get(name)
            if known != "string" and cell is not None:
                kind = self._kind_of(cell)
                if kind != known:
                    kinds[name] = _wider(known, kind)

    def __getitem__(self, column: str) -> str:
        return self._kinds.get(column, "string")


def _wider(one: str | None, other: str) -> str:
    if one is None:
        return other
    return "double" if {one, other} == {"int64", "double"} else "string"
