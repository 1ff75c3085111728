"""Files of an object store as Arrow reads them: in its own threads, which call Python for bytes.

fsspec's own files read ahead, by 50 MB on S3. And a thread that is at a request when Python ends
makes the process abort; Arrow leaves some behind where a read fails or is not read to its end.
"""

from __future__ import annotations

import atexit
import io
import threading
import time
from collections.abc import Callable, Mapping

import pyarrow as pa
from fsspec import AbstractFileSystem
from pyarrow.fs import FSSpecHandler, PyFileSystem

LEAVE_S = 0.1  # for a thread to be back in Arrow after its last request


def remote_files(fs: AbstractFileSystem, sizes: Mapping[str, int]) -> PyFileSystem:
    """A file system for Arrow; `sizes` in bytes of paths for which the store needs no asking."""
    return PyFileSystem(_Handler(fs, sizes))


class _Requests:
    """Who is at a request now; once Python ends these are waited for, and no more begin."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._under_way = 0
        self._ended = False

    def make(self, request: Callable[[], bytes]) -> bytes:
        with self._change:
            if self._ended:
                raise OSError("Python is ending")
            self._under_way += 1
        try:
            return request()
        finally:
            with self._change:
                self._under_way -= 1
                self._change.notify_all()

    def end(self) -> None:
        with self._change:
            self._ended = True
            if self._under_way:
                self._change.wait_for(lambda: not self._under_way)
                time.sleep(LEAVE_S)


_requests = _Requests()
atexit.register(_requests.end)


class _Handler(FSSpecHandler):  # type: ignore[misc]
    def __init__(self, fs: AbstractFileSystem, sizes: Mapping[str, int]) -> None:
        super().__init__(fs)
        self._sizes = sizes

    def open_input_file(self, path: str) -> pa.PythonFile:
        size = self._sizes.get(path)
        return pa.PythonFile(_Ranges(self.fs, path, self.fs.size(path) if size is None else size))


class _Ranges(io.RawIOBase):
    """A file of which exactly those bytes are read that are asked for."""

    def __init__(self, fs: AbstractFileSystem, path: str, size: int) -> None:
        self._fs, self._path, self._size = fs, path, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        start, end = self._at, self._size if size < 0 else min(self._size, self._at + size)
        if start >= end:
            return b""
        data = _requests.make(lambda: self._fs.cat_file(self._path, start=start, end=end))
        self._at += len(data)
        return data
