"""The bytes of a file, local or remote: never for ever, and never more than fit.

A manifest may name anything: pipes and devices that never end, files with holes of terabytes,
servers that say nothing or a byte a minute.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import fsspec

MAX_IMAGE_BYTES = 512_000_000  # more than an uncompressed image of as many pixels as are taken
REMOTE_S = 60.0  # for a whole file
_PIECE = 1 << 20  # bytes
T = TypeVar("T")
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(uri: str, max_bytes: int = MAX_IMAGE_BYTES) -> bytes:
    """The content of a file at any path or URL.

    Raises OSError, whose `strerror` says what is wrong, and whatever the store's library raises.
    """
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    if "://" not in uri:  # a plain path: fsspec would read a meaning into `::` in it
        return _read_local(uri, max_bytes)
    return within(partial(_read_remote, uri, max_bytes))


def read_range(uri: str, start: int, end: int) -> bytes:
    """Bytes of a file at any path or URL; fewer where it is shorter. Raises like `read_file`."""
    if "://" in uri:
        fs, path = fsspec.core.url_to_fs(uri)
        data: bytes = within(partial(fs.cat_file, path, start=start, end=end))
        return data
    if kind := special_file(uri):
        raise OSError(errno.EINVAL, f"it is {kind}")
    with open(uri, "rb") as file:
        file.seek(start)
        return file.read(end - start)


def special_file(path: str) -> str | None:
    """What stands at a local path, if it is neither file nor folder, nor nothing."""
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def _read_local(path: str, max_bytes: int) -> bytes:
    if kind := special_file(path):  # before it is opened: that alone may wait for ever
        raise OSError(errno.EINVAL, f"it is {kind}")
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise too_large(max_bytes)
        return file.read(max_bytes + 1)


def within(read: Callable[[], T]) -> T:
    """Read in a thread, which is left alone if it takes too long: not all libraries can stop."""
    found: Future[T] = Future()

    def work() -> None:
        try:
            found.set_result(read())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=work, name="read", daemon=True).start()
    try:
        return found.result(REMOTE_S)
    except TimeoutError:
        if found.done():  # the library's own
            raise
        raise OSError(errno.ETIMEDOUT, f"it did not come within {REMOTE_S:.0f} s") from None


def _read_remote(uri: str, max_bytes: int) -> bytes:
    fs, path = fsspec.core.url_to_fs(uri)
    if uri.startswith(("http://", "https://")):
        # `size` and no blocks: one request, answered with a stream
        with closing(fs.open(path, "rb", block_size=0, size=1)) as stream:
            data = _take(stream, max_bytes)
    else:
        data = _first_bytes(fs, path, max_bytes + 1)
    if len(data) > max_bytes:
        raise too_large(max_bytes)
    return data


def _take(stream: Any, max_bytes: int) -> bytes:
    pieces, size = [], 0
    while size <= max_bytes and (piece := stream.read(_PIECE)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _first_bytes(fs: Any, path: str, count: int) -> bytes:
    try:
        data: bytes = fs.cat_file(path, start=0, end=count)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        if not _is_empty(fs, path):
            raise error from None
        return b""  # which has no first bytes, says S3
    return data


def _is_empty(fs: Any, path: str) -> bool:
    try:
        return bool(fs.info(path)["size"] == 0)
    except Exception:
        return False


def too_large(max_bytes: int) -> OSError:
    """The error for what has more bytes than are taken."""
    return OSError(errno.EFBIG, f"it has more than {max_bytes} bytes (--max-image-bytes)")
