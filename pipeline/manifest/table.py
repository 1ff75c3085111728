"""An open manifest: columns, and rows that are read once.

A row is a dict from column name to cell; an empty cell is None. A reader hands what is wrong with
a row to `report(number, text)` and goes on with the next one, so that one pass finds everything.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.errors import RequestError
from pipeline.manifest.cells import Cells

LONGEST_LINE = 1 << 24  # bytes
LONE_RETURNS = "lines end in a carriage return alone (old Macs); save the file with newlines"
Report = Callable[[int, str], None]
NumberedRows = Iterator[tuple[int, Cells]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """An open manifest: its columns in file order and its rows, to be read once.

    `columns` gives a column's Arrow type, or None where it has to be inferred with `kind_of`. A
    JSONL file adds columns while it is read (`grows`). `unit` is what a row's number counts.
    `folder` is the one that was listed, if it was no file.
    """

    columns: dict[str, pa.DataType | None]
    rows: NumberedRows
    unit: str = "line"
    grows: bool = False
    kind_of: Callable[[Any], str] | None = None
    folder: str | None = None


def text_lines(source: BinaryIO) -> Iterator[bytes]:
    """Lines without a byte order mark; OSError for one that no text has."""
    lines = _lines(source)
    first = next(lines, b"").removeprefix(b"\xef\xbb\xbf")
    return chain([first], lines) if first else lines


def _lines(source: BinaryIO) -> Iterator[bytes]:
    for line in iter(partial(source.readline, LONGEST_LINE), b""):
        if len(line) == LONGEST_LINE:
            why = LONE_RETURNS if b"\r" in line else "is it text?"
            raise OSError(errno.EFBIG, f"a line has more than {LONGEST_LINE} bytes; {why}")
        yield line


def not_utf8(error: UnicodeDecodeError) -> str:
    return (
        f"not UTF-8 (byte 0x{error.object[error.start]:02x} at position {error.start + 1} of the"
        " line); save the manifest as UTF-8"
    )


def unique_columns(
    uri: str, columns: Iterable[tuple[str, pa.DataType | None]]
) -> dict[str, pa.DataType | None]:
    """Refuses what a dict would hide: a name that occurs twice, or no name at all."""
    types: dict[str, pa.DataType | None] = {}
    for number, (name, kind) in enumerate(columns, 1):
        if not name:
            raise RequestError(f"{uri}: column {number} has no name; name it or leave it out")
        if name in types:
            raise RequestError(f"{uri}: two columns are named `{name}`; rename one of them")
        types[name] = kind
    return types
