"""Manifests in CSV and TSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from pipeline.manifest.cells import kind_of_text
from pipeline.manifest.table import (
    LONE_RETURNS,
    NumberedRows,
    Report,
    Table,
    not_utf8,
    text_lines,
    unique_columns,
)


def csv_table(uri: str, source: BinaryIO, report: Report, delimiter: str = ",") -> Table:
    lines = map(bytes.decode, text_lines(source))
    # strict: a quote that is never closed would otherwise swallow the rest of the file
    records = _records(csv.reader(lines, delimiter=delimiter, strict=True), report)
    header = [name.strip() for name in next(records, (1, []))[1]]
    columns = unique_columns(uri, ((name, None) for name in header))
    return Table(columns=columns, rows=_csv_rows(records, header, report), kind_of=kind_of_text)


def tsv_table(uri: str, source: BinaryIO, report: Report) -> Table:
    return csv_table(uri, source, report, delimiter="\t")


def _records(reader: Any, report: Report) -> Iterator[tuple[int, list[str]]]:
    """CSV records with the physical line they start at; blank lines are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            return report(reader.line_num + 1, not_utf8(error))
        except csv.Error as error:
            return report(line, f"{_broken(str(error))}; the rest of the file was not read")
        if record:
            yield line, record


def _broken(error: str) -> str:
    """What is wrong, from what Python's reader says."""
    if "field limit" in error:
        most = csv.field_size_limit()
        return f"a field has more than {most} characters; or is its quote never closed?"
    if "new-line character" in error:
        return LONE_RETURNS
    if "expected after" in error:
        return f"broken quoting, or columns are separated by something else ({error})"
    return f"broken quoting ({error})"


def _csv_rows(
    records: Iterable[tuple[int, list[str]]], header: list[str], report: Report
) -> NumberedRows:
    for line, record in records:
        if len(record) == len(header):
            yield line, {name: cell or None for name, cell in zip(header, record, strict=True)}
        else:
            report(
                line,
                f"{len(record)} fields where the header has {len(header)};"
                " quote a field that holds the separator",
            )
