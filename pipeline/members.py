"""Images that lie in a file with many others: where, as a URI in the form that fsspec chains.

tar://KEY.jpg::s3://bucket/000.tar#1536+23431   a member: 23431 bytes, the first is byte 1536
parquet://image/17::/data/train-000.parquet     row 17 (from 0) of a column of images' bytes
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

_MEMBER = re.compile(r"(tar|parquet)://(.*)::(.+?)(?:#([0-9]+)\+([0-9]+))?", re.DOTALL)
_UNSAFE = re.compile(r"[%@:?#\s]")  # what would end a part of the URI, or look like a secret


@dataclass(frozen=True, slots=True)
class Member:
    """An image in a file.

    kind         `tar` or `parquet`
    inner        name of the member, or COLUMN/ROW; `quoted`
    file         path or URL of the file
    start, size  its bytes in a tar file; None where nobody has looked
    """

    kind: str
    inner: str
    file: str
    start: int | None = None
    size: int | None = None

    @classmethod
    def of(cls, uri: str) -> Member | None:
        """None for what is a file of its own."""
        if not uri.startswith(("tar://", "parquet://")) or not (found := _MEMBER.fullmatch(uri)):
            return None
        kind, inner, file, start, size = found.groups()
        if start is None:
            return cls(kind, inner, file)
        return cls(kind, inner, file, int(start), int(size))

    def __str__(self) -> str:
        place = "" if self.start is None else f"#{self.start}+{self.size}"
        return f"{self.kind}://{self.inner}::{self.file}{place}"

    @property
    def placed(self) -> bool:
        """Whether it says all that reading takes; else the archive has to be searched."""
        return self.kind == "parquet" or self.start is not None

    def in_file(self, file: str) -> Member:
        """The same in another file, such as a copy elsewhere."""
        return replace(self, file=file)

    @property
    def row(self) -> tuple[str, int]:
        """Column and row of an image in Parquet; ValueError if the URI has none."""
        column, _, row = self.inner.rpartition("/")
        return unquote(column), int(row)


def quoted(name: str) -> str:
    """A name as it may stand in `Member.inner`."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe=""), name)


def file_of(uri: str) -> str:
    """The file that an image lies in: itself, if it is one of its own."""
    member = Member.of(uri)
    return uri if member is None else member.file


def name_in(uri: str) -> str:
    """A file's name for an image: of its own file, or of the member; `train-17` for a row."""
    member = Member.of(uri)
    if member is None:
        return uri.rpartition("/")[2]
    if member.kind == "tar":
        return unquote(member.inner).rpartition("/")[2]
    stem = member.file.rpartition("/")[2].partition("?")[0].removesuffix(".parquet")
    return f"{stem}-{member.inner.rpartition('/')[2]}"
