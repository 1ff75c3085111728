"""Writes a manifest: rows to CSV, with paths relative to the file where they lie below it."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from pipeline.errors import RequestError
from pipeline.paths import plain_path

Row = Mapping[str, str | int | None]
_PATHS = ("image", "mask")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A dataset found on disk.

    `rows` have the keys `columns`, and absolute paths or URLs. `notes` are sentences for the user;
    `model` is what to give as --model, with words in capitals where only the user knows.
    """

    columns: tuple[str, ...]
    rows: Iterable[Row]
    notes: tuple[str, ...] = ()
    model: str = "torchvision:resnet50"


@dataclass(slots=True)
class Counts:
    """What was written: rows, different images and classes, rows with a mask or a box."""

    rows: int = 0
    images: int = 0
    masks: int = 0
    boxes: int = 0
    classes: set[str] = field(default_factory=set)
    _last: Any = None

    def see(self, row: Row) -> None:
        self.rows += 1
        self.images += row["image"] != self._last  # rows of one image follow each other
        self._last = row["image"]
        self.masks += bool(row.get("mask"))
        self.boxes += bool(row.get("bbox"))
        name = row.get("voc_class") or row.get("target")
        if name is not None:
            self.classes.add(str(name))


def check_target(to: str, overwrite: bool) -> str:
    """The absolute path to write; RequestError for another format or an existing file."""
    path = plain_path(to)
    if "://" in path or not path.lower().endswith(".csv"):
        raise RequestError(f"--to {to}: expected a local file ending in .csv")
    if os.path.isdir(path):
        raise RequestError(f"--to {to}: is a folder; name a file in it, as in {to}/manifest.csv")
    if os.path.exists(path) and not overwrite:
        raise RequestError(f"--to {to}: exists already; give another --to, or --overwrite")
    return os.path.abspath(path)


def write_manifest(source: Source, to: str, *, overwrite: bool = False) -> Counts:
    """Writes all rows or, where an error is raised, nothing."""
    path, counts = check_target(to, overwrite), Counts()
    below = os.path.dirname(path).rstrip(os.sep) + os.sep
    with _replacing(path) as file:
        writer = csv.DictWriter(file, source.columns)
        writer.writeheader()
        for row in source.rows:
            counts.see(row)
            writer.writerow({name: _cell(name, row[name], below) for name in source.columns})
    return counts


def _cell(name: str, value: str | int | None, below: str) -> str | int:
    if name in _PATHS and isinstance(value, str):
        return value.removeprefix(below)
    return "" if value is None else value


@contextmanager
def _replacing(path: str) -> Iterator[IO[str]]:
    """A file that takes its place when it is complete."""
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".part", ".manifest-", folder)
    except OSError as error:
        raise RequestError(f"--to {path}: cannot be written: {error.strerror}") from error
    try:
        with open(handle, "w", newline="", encoding="utf-8") as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
