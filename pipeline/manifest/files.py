"""Streams the rows of a manifest: CSV, TSV, JSONL, Parquet, tar, a folder or glob of images.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError
from pipeline.images import IMAGE_SUFFIXES, given_images, list_images, special_file
from pipeline.manifest.delimited import csv_table, tsv_table
from pipeline.manifest.jsonl import jsonl_table
from pipeline.manifest.listing import Kept
from pipeline.manifest.parquet import parquet_table
from pipeline.manifest.patterns import matching
from pipeline.manifest.stores import filesystem
from pipeline.manifest.table import NumberedRows, Report, Table
from pipeline.manifest.tar import tar_table

FORMATS = "CSV (.csv), TSV (.tsv), JSON lines (.jsonl, .ndjson), Parquet (.parquet), tar (.tar)"
_BUFFER = 1 << 20  # bytes read at once
_COMPRESSED = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)


@contextmanager
def open_table(uri: str | Sequence[str], report: Report, kept: Kept) -> Iterator[Table]:
    """Opens a manifest file, folder or glob, or images; RequestError when it is missing or unknown.

    uri   several: images that are named one by one, or archives
    kept  of the same manifest, for what takes long to list
    """
    if not isinstance(uri, str):
        yield _named_table(uri, report, kept)
        return
    with _openable(uri):
        fs, path = filesystem(uri)
        _refuse_special(fs, path, uri)
        kind = _kind_of_source(fs, path, uri)
        files = matching(fs, path, uri) if kind in _SEVERAL else []
        if kind in _READERS:
            file = fs.open(path, "rb", compression="gzip" if _is_gzip(uri) else None)
    if kind in _SEVERAL:
        table = _several(uri, kind, files, report, kept)
        yield table if files[0] in (uri, path) else replace(table, folder=_listed(fs, path))
    elif kind in _READERS:
        with io.BufferedReader(file, _BUFFER) as source:
            with _readable(uri):
                table = _READERS[kind](uri, source, report)
            yield replace(table, rows=_guarded(uri, table.rows))
    elif kind == "image":
        yield _named_table([uri], report, kept)
    else:
        folder = _listed(fs, path) if kind == "glob" else _address(fs, path)
        yield _image_table(list_images(fs, path, uri, kind), folder, report)


def _named_table(names: Sequence[str], report: Report, kept: Kept) -> Table:
    """Of images or archives that are named one by one."""
    kinds = {_suffix(name) for name in names}
    if len(kinds) == 1 and (kind := kinds.pop()) in _SEVERAL:
        files = [name if "://" in name else os.path.abspath(name) for name in names]
        table = _several(f"{names[0]} and {len(names) - 1} more", kind, files, report, kept)
        return replace(table, folder=common_folder(files))
    images = given_images(names)
    return _image_table(images, common_folder(images), report)


def _several(uri: str, kind: str, files: list[str], report: Report, kept: Kept) -> Table:
    with _openable(uri), _readable(uri):
        table = _SEVERAL[kind](uri, files, report, kept)
    return replace(table, rows=_guarded(uri, table.rows))


def folder_of(uri: str) -> str:
    """The folder (or URL prefix) that holds a manifest."""
    scheme, remote, path = _without_query(uri).rpartition("://")
    return scheme + remote + posixpath.dirname(path)


def common_folder(images: Sequence[str]) -> str:
    """The folder (or URL prefix) in which all of them lie."""
    folders = [f"{folder_of(image)}/" for image in images]
    return os.path.commonprefix(folders).rpartition("/")[0] or "/"


def _refuse_special(fs: Any, path: str, uri: str) -> None:
    """RequestError for pipes and the like: a manifest is read more than once."""
    if isinstance(fs, LocalFileSystem) and (kind := special_file(path)):
        raise RequestError(f"{uri}: is {kind}; a manifest is read twice, so write it to a file")


def _kind_of_source(fs: Any, path: str, uri: str) -> str:
    """`glob`, `folder`, `image` or the suffix of a manifest file."""
    suffix = _suffix(uri)
    if suffix in _SEVERAL:
        return suffix
    web = uri.startswith(("http://", "https://"))  # where ? starts the query
    if not web and glob.has_magic(uri) and not fs.exists(path):
        return "glob"
    if suffix in _READERS:
        return suffix
    if _COMPRESSED.search(_without_query(uri)):
        raise RequestError(
            f"{uri}: members of a compressed archive cannot be read one by one; decompress it "
            "(gunzip, zstd -d, ...) and give the .tar"
        )
    if fs.isdir(path):
        return "folder"
    if suffix in IMAGE_SUFFIXES and fs.exists(path):
        return "image"
    if fs.exists(path):
        raise RequestError(
            f"{uri}: {suffix or 'a file without suffix'} is no manifest format; expected {FORMATS},"
            " text also with .gz, or images, a folder or a glob of them"
        )
    raise RequestError(f"{uri}: there is no such file or folder; check the path of the manifest")


def _without_query(uri: str) -> str:
    return uri.partition("?")[0] if uri.startswith(("http://", "https://")) else uri


def _is_gzip(uri: str) -> bool:
    return _without_query(uri).lower().endswith(".gz")


def _suffix(uri: str) -> str:
    name = _without_query(uri).lower()
    suffix = posixpath.splitext(name.removesuffix(".gz"))[1]
    return suffix + ".gz" if name.endswith(".gz") and suffix in _SEVERAL else suffix


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
def _openable(uri: str) -> Iterator[None]:
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: the manifest cannot be opened: {_say(error)}") from error


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise RequestError(f"{uri}: the manifest cannot be read: {_say(error)}") from error


def _guarded(uri: str, rows: NumberedRows) -> NumberedRows:
    with _readable(uri):
        yield from rows


def _listed(fs: Any, path: str) -> str:
    """The folder whose files are listed: of a pattern what comes before its first wildcard."""
    return _address(fs, posixpath.dirname(re.split(r"[*?\[{]", path, maxsplit=1)[0]))


def _address(fs: Any, path: str) -> str:
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


_SEVERAL: dict[str, Callable[[str, Sequence[str], Report, Kept], Table]] = {
    ".tar": tar_table,
    ".parquet": parquet_table,
}
_READERS: dict[str, Callable[[str, BinaryIO, Report], Table]] = {
    ".csv": csv_table,
    ".tsv": tsv_table,
    ".jsonl": jsonl_table,
    ".ndjson": jsonl_table,
}
