"""A folder on a local disk: files appear whole and durably, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError
from pipeline.store.layout import RUN

NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK}


class Disk:
    """The backend of `Store` for local folders; RequestError if a file is in the place.

    temporary  folder of half-written files, which do not lie beside their final name: Polars
               refuses a folder of tables that holds any other file, as a killed process leaves one
    """

    errors: tuple[type[Exception], ...] = (OSError,)
    remedy = "expected a folder that can be read and written: check the path and its permissions"

    def __init__(self, uri: str, temporary: str = RUN.temporary) -> None:
        if "\0" in uri:
            raise RequestError(f"{uri!r}: holds a NUL character, which no path has")
        self.temporary = temporary
        self.uri: str = LocalFileSystem._strip_protocol(uri)  # absolute, ~ expanded
        if os.path.exists(self.uri) and not os.path.isdir(self.uri):
            raise RequestError(f"{self.uri}: is a file, expected a folder; name another one")

    def write(self, name: str, data: bytes) -> None:
        path = self._with_parent(name)
        with self._temporary(data) as temporary:
            os.replace(temporary, path)
        _sync_folder(path)

    def create(self, name: str, data: bytes) -> None:
        path = self._with_parent(name)
        with self._temporary(data) as temporary:
            try:
                os.link(temporary, path)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                # Still create-only, but a kill within these lines leaves a truncated file.
                with open(path, "xb") as file:
                    _write_through(file.fileno(), data)
        _sync_folder(path)

    def read(self, name: str) -> bytes:
        with open(self._path(name), "rb") as file:
            return file.read()

    def files(self, folder: str) -> dict[str, int]:
        found = {}
        with os.scandir(self._path(folder)) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # gone since listed
                    if entry.is_file():
                        found[entry.name] = entry.stat().st_size
        return found

    def remove(self, name: str) -> None:
        os.unlink(self._path(name))

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self._path(folder))

    def has(self, name: str) -> bool:
        return os.path.isfile(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self.uri, name)

    def _with_parent(self, name: str) -> str:
        """Local path of `name`, its folder created."""
        path = self._path(name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except FileExistsError as error:  # must not be taken for "`name` exists"
            raise NotADirectoryError(errno.ENOTDIR, "is a file", error.filename) from error
        return path

    @contextmanager
    def _temporary(self, data: bytes) -> Iterator[str]:
        """Path of a file that holds `data` durably; gone afterwards."""
        path = self._with_parent(f"{self.temporary}/{uuid.uuid4().hex}")
        try:
            with open(path, "xb") as file:
                _write_through(file.fileno(), data)
            yield path
        finally:
            with suppress(FileNotFoundError):  # published by a rename
                os.unlink(path)


def _write_through(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync_folder(path: str) -> None:
    """Makes a new name durable, so that no marker outlives the tables it vouches for."""
    with suppress(OSError):  # some network file systems cannot sync a folder
        descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
