"""Streams the rows of a manifest out of CSV, TSV, JSONL, Parquet, or a folder or glob of images.

A row is a dict from column name to cell; an empty cell is None. A reader hands what is wrong with
a row to `report(number, text)` and goes on with the next one, so that one pass finds everything.
"""

from __future__ import annotations

import glob
import io
import os
import posixpath
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError
from pipeline.images import list_images, special_file
from pipeline.manifest.delimited import csv_table, tsv_table
from pipeline.manifest.jsonl import jsonl_table
from pipeline.manifest.parquet import parquet_table
from pipeline.manifest.table import NumberedRows, Report, Table

FORMATS = "CSV (.csv), TSV (.tsv), JSON lines (.jsonl, .ndjson), Parquet (.parquet)"
_BUFFER = 1 << 20  # bytes read at once
SILENT_S, TOTAL_S = 60.0, 300.0  # that a server may say nothing, and take for a request


@contextmanager
def open_table(uri: str, report: Report) -> Iterator[Table]:
    """Opens a manifest file, folder or glob; RequestError when it is missing or unknown."""
    try:
        fs, path = _filesystem(uri)
        _refuse_special(fs, path, uri)
        kind = _kind_of_source(fs, path, uri)
        if kind in _READERS:
            file = fs.open(path, "rb", compression="gzip" if _is_gzip(uri) else None)
    except RequestError:
        raise
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: the manifest cannot be opened: {_say(error)}") from error
    if kind not in _READERS:
        yield _image_table(list_images(fs, path, uri, kind), _listed(fs, path, kind), report)
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


def _filesystem(uri: str) -> tuple[Any, str]:
    """A plain path is taken as it is: fsspec would read a meaning into `::` in it."""
    if "://" not in uri:
        return LocalFileSystem(), os.path.abspath(uri)
    more: dict[str, Any] = {}
    if uri.startswith(("http://", "https://")):
        from aiohttp import ClientTimeout

        more["client_kwargs"] = {"timeout": ClientTimeout(total=TOTAL_S, sock_read=SILENT_S)}
    fs, path = fsspec.core.url_to_fs(uri, **more)
    return fs, path


def _refuse_special(fs: Any, path: str, uri: str) -> None:
    """RequestError for pipes and the like: a manifest is read more than once."""
    if isinstance(fs, LocalFileSystem) and (kind := special_file(path)):
        raise RequestError(f"{uri}: is {kind}; a manifest is read twice, so write it to a file")


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
    for answer in (error, error.__cause__):  # fsspec calls most of them a missing file
        status = getattr(answer, "status", 404)
        if status != 404:
            what = "fails" if status >= 500 else "refuses it"
            return f"the server {what} ({status} {getattr(answer, 'message', '')})"
    if isinstance(error, FileNotFoundError):
        cause = error.__cause__
        reachable = cause is None or hasattr(cause, "status")
        return "there is no such file" if reachable else f"{cause} ({type(cause).__name__})"
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


def _listed(fs: Any, path: str, kind: str) -> str:
    """The folder whose images are listed; of a glob what comes before its first wildcard."""
    if kind == "glob":
        path = posixpath.dirname(re.split(r"[*?\[]", path, maxsplit=1)[0])
    return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))


def _image_table(images: list[str], folder: str, report: Report) -> Table:
    def rows() -> NumberedRows:
        for number, image in enumerate(images, 1):
            try:
                image.encode()
            except UnicodeEncodeError:
                report(number, f"the name {image!r} is not UTF-8; rename the file")
            else:
                yield number, {"image": image}

    return Table(columns={"image": pa.string()}, rows=rows(), unit="file", folder=folder)


_READERS: dict[str, Callable[[str, BinaryIO, Report], Table]] = {
    ".csv": csv_table,
    ".tsv": tsv_table,
    ".jsonl": jsonl_table,
    ".ndjson": jsonl_table,
    ".parquet": parquet_table,
}
