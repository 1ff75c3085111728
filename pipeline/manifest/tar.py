"""Tar archives of images as manifests, as webdataset writes them.

Members of one key follow each other: `KEY.jpg` with `KEY.cls` (target), `KEY.txt`, `KEY.json`
(further columns) and `KEY.mask.png` (ground truth). A key is a member's name up to the first dot
behind its folder.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.errors import RequestError
from pipeline.images import IMAGE_SUFFIXES, bbox_problem
from pipeline.manifest.cells import Cells, kind_of_json
from pipeline.manifest.columns import free_name
from pipeline.manifest.listing import Found, Kept, listed
from pipeline.manifest.stores import filesystem, reading
from pipeline.manifest.table import NumberedRows, Report, Table
from pipeline.members import Member, quoted

WINDOW = 1 << 20  # bytes of an archive far away that are read at once
LONGEST_TEXT = 1 << 20  # bytes of a member with columns


def tar_table(uri: str, files: Sequence[str], report: Report, kept: Kept) -> Table:
    """The images of archives; of those far away only what is between them is read."""
    columns: dict[str, pa.DataType | None] = dict.fromkeys(("image", "id"), pa.string())

    def rows() -> NumberedRows:
        far = "://" in files[0]
        found = kept.rows(lambda: listed(files, _samples)) if far else listed(files, _samples)
        for number, row in enumerate(found, 1):
            if isinstance(row, str):
                report(number, row)
                continue
            if not row.keys() <= columns.keys():
                columns.update(dict.fromkeys(row))
            yield number, row

    return Table(
        columns=columns,
        rows=rows(),
        unit="sample",
        grows=True,
        kind_of=kind_of_json,
    )


@dataclass(slots=True)
class _Sample:
    """The members of one key: images by what follows the key, and what else they say."""

    key: str
    images: dict[str, str] = field(default_factory=dict)
    cells: Cells = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)

    def row(self, file: str) -> Cells | str:
        """Cells, or what is wrong."""
        plain = [end for end in self.images if "." not in end]
        mask = self.images.get("mask.png")
        others = plain or [end for end in self.images if end != "mask.png"]
        if self.problems:
            return f"{file}: {self.problems[0]}"
        if len(others) != 1:
            what = "more than one image" if others else "no image"
            return (
                f"{file}: {what} of the key {self.key!r} ({', '.join(self.members)}); expected one,"
                " and all members of a key one after the other"
            )
        more = {} if mask is None else {"mask": mask}
        return {"image": self.images[others[0]], "id": self.key, **self.cells, **more}


def _samples(file: str) -> Found:
    """The samples of one archive; RequestError if it is none, or has none."""
    sample, found = _Sample(""), False
    for info, archive in _members(file):
        key, end = _split(info.name)
        if not end:
            continue
        if sample.members and key != sample.key:
            found = True
            yield sample.row(file)
            sample = _Sample("")
        if not sample.members:
            sample = _Sample(key)
        _take(sample, end, info, archive, file)
    if sample.members:
        found = True
        yield sample.row(file)
    if not found:
        raise RequestError(f"{file}: no images in this archive; expected members such as KEY.jpg")


def _split(name: str) -> tuple[str, str]:
    """Key and what follows it, without the dot; nothing follows for what is hidden."""
    name = name.removeprefix("./")
    folder, slash, base = name.rpartition("/")
    stem, _, end = base.partition(".")
    hidden = not stem or "/." in f"/{folder}"
    return folder + slash + stem, "" if hidden else end.lower()


def _take(sample: _Sample, end: str, info: Any, archive: Any, file: str) -> None:
    """Note what a member says of its sample; others than these are passed over."""
    name = info.name.removeprefix("./")
    if end in ("cls", "txt", "json"):
        sample.members.append(name)
        try:
            found = _cells(end, _text(info, archive))
            sample.cells = {**found, **sample.cells} if end == "json" else sample.cells | found
        except ValueError as error:
            sample.problems.append(f"{name}: {error}")
    elif f".{end.rpartition('.')[2]}" in IMAGE_SUFFIXES:
        sample.members.append(name)
        try:
            name.encode()
        except UnicodeEncodeError:
            sample.problems.append(f"the name {name!r} is not UTF-8; rename the member")
        sample.images[end] = str(Member("tar", quoted(name), file, info.offset_data, info.size))


def _text(info: Any, archive: Any) -> str:
    if info.size > LONGEST_TEXT:
        raise ValueError(f"has more than {LONGEST_TEXT} bytes")
    archive.seek(info.offset_data)
    data: bytes = archive.read(info.size)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def _cells(end: str, text: str) -> Cells:
    """Columns of a member: ValueError for JSON that is no object, or not for tables."""
    if end != "json":
        return {"target" if end == "cls" else end: text.strip()}
    try:
        found = json.loads(text)
        if "\\u" in text:  # JSON can spell half a character, which no table can store
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"JSON {type(found).__name__}, expected an object: {{...}}")
    return {free_name(name, _taken(name, cell)): cell for name, cell in found.items()}


def _taken(name: str, cell: Any) -> bool:
    """Whether a column of this name would mean something else in a manifest."""
    return name in ("image", "id", "mask") or (name == "bbox" and bbox_problem(cell) is not None)


def _members(file: str) -> Iterator[tuple[Any, Any]]:
    """Headers of the files in an archive, in order, with the archive to read from."""
    with reading(file, "the archive"), _opened(file) as source:
        try:
            archive: Any = tarfile.open(fileobj=source, mode="r:")
            while (info := archive.next()) is not None:
                archive.members = []  # it would keep them all
                if info.isreg():
                    yield info, source
            source.seek(archive.offset)
            if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("it ends without its end mark")
        except tarfile.TarError as error:
            raise RequestError(
                f"{file}: is no complete tar archive without compression: {error}"
            ) from error


def _opened(file: str) -> Any:
    if "://" not in file:
        return open(file, "rb")
    return _Windows(*filesystem(file))


class _Windows(io.RawIOBase):
    """A file far away, read in pieces that begin where somebody asks for more than is here.

    Small members come together in one piece; large ones are passed over.
    """

    def __init__(self, fs: Any, path: str) -> None:
        self._fs, self._path = fs, path
        self._length = int(fs.info(path)["size"])
        self._place = self._start = 0
        self._here = b""

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_CUR: self._place, os.SEEK_END: self._length}.get(whence, 0)
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self._length if size < 0 else min(self._place + size, self._length)
        if end <= self._place:
            return b""
        if self._place < self._start or end > self._start + len(self._here):
            last = min(max(end, self._place + WINDOW), self._length)
            self._here = self._fs.cat_file(self._path, start=self._place, end=last)
            self._start = self._place
        data = self._here[self._place - self._start : end - self._start]
        self._place += len(data)
        return data
