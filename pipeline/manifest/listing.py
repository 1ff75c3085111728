"""Rows that are listed file by file: far away several files at a time, and only once."""

from __future__ import annotations

import pickle
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from pipeline.images import closed, prefetch
from pipeline.manifest.cells import Cells

LISTERS = 8  # files at a time
Found = Iterator[Cells | str]  # rows, and what is wrong with one in place of it


def listed(files: Sequence[str], rows_of: Callable[[str], Found]) -> Found:
    """The rows of all files in order; of those far away the next files' are read meanwhile.

    The first file is streamed, so that whoever wants a few rows need not wait for others.
    """
    far = len(files) > 1 and "://" in files[0]
    for file in files[:1] if far else files:
        yield from rows_of(file)
    if not far:
        return
    stop = threading.Event()

    def whole(file: str) -> list[Cells | str]:
        rows = []
        for row in rows_of(file):
            rows.append(row)
            if stop.is_set():
                break
        return rows

    coming = prefetch(files[1:], whole, ahead=2 * LISTERS, threads=LISTERS)
    with closed(coming):
        try:
            for _, found in coming:
                if isinstance(found, Exception):
                    raise found
                yield from found
        finally:
            stop.set()


class Kept:
    """Rows that take requests, in a temporary file once all were read, for the next pass."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def rows(self, make: Callable[[], Found]) -> Found:
        """Those that were kept, or else those that are made."""
        if self._file is not None:
            self._file.seek(0)
            with suppress(EOFError):
                while True:
                    yield pickle.load(self._file)
            return
        file = TemporaryFile()
        try:
            for row in make():
                pickle.dump(row, file)
                yield row
        except BaseException:
            file.close()
            raise
        self._file = file
        weakref.finalize(self, file.close)
