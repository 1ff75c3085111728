"""The bytes of images that lie in a file with many others: tar archives and Parquet."""

from __future__ import annotations

import errno
import os
import tarfile
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import fsspec

from pipeline.images.reading import read_range, too_large, within
from pipeline.members import Member

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = tarfile.BLOCKSIZE  # bytes before those of a member
ROWS = 16  # of Parquet that are in memory at once
PIECE = 8 << 20  # bytes of Parquet that are read at once
OPEN = 4  # Parquet columns that stay open for whoever reads one image after the other


def read_packed(member: Member, max_bytes: int) -> bytes:
    """An image in a file with others. Raises OSError and whatever the store's library raises."""
    if member.kind == "parquet":
        return row_bytes(
            _opened(member.file, member.row[0], _stamp(member.file)), member, max_bytes
        )
    assert member.start is not None and member.size is not None
    if member.size > max_bytes:
        raise too_large(max_bytes)
    start = member.start - HEADER
    return member_bytes(member, read_range(member.file, start, member.start + member.size))


def member_bytes(member: Member, data: bytes | memoryview) -> bytes:
    """A tar member's content; OSError unless the data are its header and nothing but itself."""
    try:
        header = tarfile.TarInfo.frombuf(bytes(data[:HEADER]), "utf-8", "surrogateescape")
        whole = header.size == member.size == len(data) - HEADER
    except tarfile.HeaderError:
        whole = False
    if not whole:
        raise OSError(errno.EIO, "the archive is another one than when it was listed")
    return bytes(data[HEADER:])


def row_bytes(column: Column, member: Member, max_bytes: int) -> bytes:
    """The image in a row of Parquet; OSError if it has none, or one that is too large."""
    row = member.row[1]
    data = within(lambda: column[row]) if "://" in member.file else column[row]
    if data is None:
        raise OSError(errno.ENODATA, f"row {row} holds no image")
    if len(data) > max_bytes:
        raise too_large(max_bytes)
    return data


class Column:
    """A column of images' bytes in a Parquet file, by row; rows in order are read once.

    A few rows are in memory at a time. Row groups in which nothing is asked for are not read.
    """

    def __init__(self, file: str, column: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        source: Any = file
        if "://" in file:
            fs, path = fsspec.core.url_to_fs(file)
            source = fs.open(path, "rb", cache_type="none")
        self._parquet = pq.ParquetFile(source, buffer_size=PIECE, pre_buffer=False)
        kind = self._parquet.schema_arrow.field(column).type
        self._leaf = f"{column}.bytes" if pa.types.is_struct(kind) else column
        self._lock = threading.Lock()
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rows = range(0)  # of the batch
        self._end = 0  # of the row group
        self._batch: Any = None

    def __getitem__(self, row: int) -> bytes | None:
        """None where the cell is empty; OSError for a row that is not there."""
        with self._lock:
            if not self._rows.start <= row < self._end:
                self._begin(row)
            while row not in self._rows:
                self._next()
            data: bytes | None = self._batch[row - self._rows.start].as_py()
            return data

    def _begin(self, row: int) -> None:
        """The row group that has this row, from its start."""
        start, about = 0, self._parquet.metadata
        for group in range(about.num_row_groups):
            end = start + about.row_group(group).num_rows
            if row < end:
                break
            start = end
        else:
            raise OSError(errno.ENODATA, f"there is no row {row}, only {start}")
        self._batches = self._parquet.iter_batches(
            ROWS, row_groups=[group], columns=[self._leaf], use_threads=False
        )
        self._rows, self._end = range(start, start), end

    def _next(self) -> None:
        try:
            batch = next(self._batches).column(0)
        except BaseException:
            self._rows = range(self._end, self._end)  # to be begun again
            raise
        self._batch = batch.field(0) if self._leaf.endswith(".bytes") else batch
        self._rows = range(self._rows.stop, self._rows.stop + len(batch))


@lru_cache(OPEN)
def _opened(file: str, column: str, stamp: tuple[int, int]) -> Column:
    """stamp: of the file's state, so that another one is opened anew."""
    return Column(file, column)


def _stamp(file: str) -> tuple[int, int]:
    if "://" in file:
        return 0, 0
    found = os.stat(file)
    return found.st_mtime_ns, found.st_size
