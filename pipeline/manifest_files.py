"""Streams the rows of a manifest out of CSV, TSV, JSONL, Parquet, or a folder or glob of images.

A row is a dict from column name to cell; an empty cell is None. A reader hands what is wrong with
a row to `report(number, text)` and goes on with the next one, so that one pass finds everything.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import posixpath
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from pipeline.cells import Cells, kind_of_json, kind_of_text
from pipeline.errors import RequestError
from pipeline.listing import list_images

Report = Callable[[int, str], None]
NumberedRows = Iterator[tuple[int, Cells]]

FORMATS = "CSV (.csv), TSV (.tsv), JSON lines (.jsonl, .ndjson), Parquet (.parquet)"
_BUFFER = 1 << 20  # bytes read at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """An open manifest: its columns in file order and its rows, to be read once.

    `columns` gives a column's Arrow type, or None where it has to be inferred with `kind_of`. A
    JSONL file adds columns while it is read (`grows`). `unit` is what a row's number counts.
    """

    columns: dict[str, pa.DataType | None]
    rows: NumberedRows
    unit: str = "line"
    grows: bool = False
    kind_of: Callable[[Any], str] | None = None


@contextmanager
def open_table(uri: str, report: Report) -> Iterator[Table]:
    """Opens a manifest file, folder or glob; RequestError when it is missing or unknown."""
    try:
        fs, path = _filesystem(uri)
        kind = _kind_of_source(fs, path, uri)
        if kind in _READERS:
            file = fs.open(path, "rb", compression="gzip" if _is_gzip(uri) else None)
    except RequestError:
        raise
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: the manifest cannot be opened: {_say(error)}") from error
    if kind not in _READERS:
        yield _image_table(list_images(fs, path, uri, kind), report)
        return
    with io.BufferedReader(file, _BUFFER) as source:
        with _readable(uri):
            table = _READERS[kind](uri, source, report)
        yield Table(
            columns=table.columns,
            rows=_guarded(uri, table.rows),
            unit=table.unit,
            grows=table.grows,
            kind_of=table.kind_of,
        )


def folder_of(uri: str) -> str:
    """The folder (or URL prefix) that holds a manifest."""
    scheme, remote, path = _without_query(uri).rpartition("://")
    return scheme + remote + posixpath.dirname(path)


# Where the rows come from


def _filesystem(uri: str) -> tuple[Any, str]:
    """A plain path is taken as it is: fsspec would read a meaning into `::` in it."""
    if "://" not in uri:
        return LocalFileSystem(), os.path.abspath(uri)
    fs, path = fsspec.core.url_to_fs(uri)
    return fs, path


def _kind_of_source(fs: Any, path: str, uri: str) -> str:
    """`glob`, `folder` or the suffix of a manifest file."""
    web = uri.startswith(("http://", "https://"))  # where ? starts the query
    if not web and glob.has_magic(uri) and not fs.exists(path):
        return "glob"
    suffix = _suffix(uri)
    if suffix in _READERS:
        return suffix
    if fs.isdir(path):
        return "folder"
    if fs.exists(path):
        raise RequestError(
            f"{uri}: {suffix or 'a file without suffix'} is no manifest format; expected {FORMATS},"
            " all but Parquet also with .gz, or a folder or glob of images"
        )
    raise RequestError(f"{uri}: there is no such file or folder; check the path of the manifest")


def _without_query(uri: str) -> str:
    return uri.partition("?")[0] if uri.startswith(("http://", "https://")) else uri


def _is_gzip(uri: str) -> bool:
    return _without_query(uri).lower().endswith(".gz")


def _suffix(uri: str) -> str:
    name = _without_query(uri).lower()
    suffix = posixpath.splitext(name.removesuffix(".gz"))[1]
    return suffix + ".gz" if name.endswith(".gz") and suffix == ".parquet" else suffix


def _say(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    text = getattr(error, "strerror", None) or str(error) or "no reason was given"
    return f"{text} ({type(error).__name__})"


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise RequestError(f"{uri}: the manifest cannot be read: {_say(error)}") from error


def _guarded(uri: str, rows: NumberedRows) -> NumberedRows:
    with _readable(uri):
        yield from rows


# CSV and TSV


def _csv_table(uri: str, source: BinaryIO, report: Report, delimiter: str = ",") -> Table:
    lines = map(bytes.decode, _lines(source))
    # strict: a quote that is never closed would otherwise swallow the rest of the file
    records = _records(csv.reader(lines, delimiter=delimiter, strict=True), report)
    header = [name.strip() for name in next(records, (1, []))[1]]
    columns = _columns(uri, ((name, None) for name in header))
    return Table(columns=columns, rows=_csv_rows(records, header, report), kind_of=kind_of_text)


def _tsv_table(uri: str, source: BinaryIO, report: Report) -> Table:
    return _csv_table(uri, source, report, delimiter="\t")


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """Lines without a byte order mark."""
    lines = iter(source)
    first = next(lines, b"").removeprefix(b"\xef\xbb\xbf")
    return chain([first], lines) if first else lines


def _records(reader: Any, report: Report) -> Iterator[tuple[int, list[str]]]:
    """CSV records with the physical line they start at; blank lines are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            return report(reader.line_num + 1, _not_utf8(error))
        except csv.Error as error:
            return report(line, f"broken quoting ({error}); the rest of the file was not read")
        if record:
            yield line, record


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


def _not_utf8(error: UnicodeDecodeError) -> str:
    return (
        f"not UTF-8 (byte 0x{error.object[error.start]:02x} at position {error.start + 1} of the"
        " line); save the manifest as UTF-8"
    )


def _columns(
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


# JSON lines


def _jsonl_table(uri: str, source: BinaryIO, report: Report) -> Table:
    columns: dict[str, pa.DataType | None] = {}
    rows = _jsonl_rows(_lines(source), columns, report)
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
            report(number, _not_utf8(error))
        except (ValueError, RecursionError) as error:
            report(number, f"not JSON ({error}); expected one object per line")
        else:
            if not isinstance(cells, dict):
                report(number, f"JSON {type(cells).__name__}, expected an object: {{...}}")
                continue
            if not cells.keys() <= columns.keys():
                columns.update(dict.fromkeys(cells))
            yield number, cells


# Parquet


def _parquet_table(uri: str, source: BinaryIO, report: Report) -> Table:
    parquet = pq.ParquetFile(source)
    columns = _columns(uri, ((field.name, _plain(field.type)) for field in parquet.schema_arrow))
    return Table(columns=columns, rows=_parquet_rows(uri, parquet), unit="row")


def _plain(kind: pa.DataType) -> pa.DataType:
    """Cells come out of a dictionary as its values; a column without any value counts as text."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind


def _parquet_rows(uri: str, parquet: pq.ParquetFile) -> NumberedRows:
    number = 0
    for batch in parquet.iter_batches(batch_size=4096):
        names = batch.schema.names
        try:
            columns = [column.to_pylist() for column in batch.columns]
        except ValueError as error:  # nanoseconds where pandas is not installed
            raise RequestError(
                f"{uri}: a column cannot be read as Python values: {error}"
            ) from None
        for row in zip(*columns, strict=True):
            number += 1
            yield number, dict(zip(names, row, strict=True))


# Images in a folder


def _image_table(images: list[str], report: Report) -> Table:
    def rows() -> NumberedRows:
        for number, image in enumerate(images, 1):
            try:
                image.encode()
            except UnicodeEncodeError:
                report(number, f"the name {image!r} is not UTF-8; rename the file")
            else:
                yield number, {"image": image}

    return Table(columns={"image": pa.string()}, rows=rows(), unit="file")


_READERS: dict[str, Callable[[str, BinaryIO, Report], Table]] = {
    ".csv": _csv_table,
    ".tsv": _tsv_table,
    ".jsonl": _jsonl_table,
    ".ndjson": _jsonl_table,
    ".parquet": _parquet_table,
}
