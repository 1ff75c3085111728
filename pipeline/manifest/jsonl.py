"""Manifests in JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from typing import BinaryIO

import pyarrow as pa

from pipeline.manifest.cells import kind_of_json
from pipeline.manifest.table import LONE_RETURNS, NumberedRows, Report, Table, not_utf8, text_lines


def jsonl_table(uri: str, source: BinaryIO, report: Report) -> Table:
    columns: dict[str, pa.DataType | None] = {}
    rows = _jsonl_rows(text_lines(source), columns, report)
    first = next(rows, None)  # so that the columns are known
    rest = rows if first is None else chain([first], rows)
    return Table(columns=columns, rows=rest, grows=True, kind_of=kind_of_json)


def _jsonl_rows(
    lines: Iterable[bytes], columns: dict[str, pa.DataType | None], report: Report
) -> NumberedRows:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line.decode())
            if b"\\u" in line:  # JSON can spell half a character, which no table can store
                json.dumps(cells, ensure_ascii=False).encode()
        except UnicodeDecodeError as error:
            report(number, not_utf8(error))
        except (ValueError, RecursionError) as error:
            why = LONE_RETURNS if b"\r" in line.strip() else "expected one object per line"
            report(number, f"not JSON ({error}); {why}")
        else:
            if not isinstance(cells, dict):
                report(number, f"JSON {type(cells).__name__}, expected an object: {{...}}")
                continue
            if not cells.keys() <= columns.keys():
                columns.update(dict.fromkeys(cells))
            yield number, cells
