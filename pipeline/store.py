"""One folder on a local disk or in an object store: whole files or none, create-only files.

Names are posix paths relative to the folder (`images/s-1.parquet`). Listings are never cached.
"""

from __future__ import annotations

import errno
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError, RunError

# Half-written files live here and not beside their final name: Polars refuses a folder of tables
# that holds any other file, so one left over by a killed process would break reading.
TEMPORARY = "_run/tmp"
CONCURRENCY = 32  # simultaneous requests of `get_many` and `delete`
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK}
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


class Store:
    """One folder on a local disk or an object store.

    `uri` is its absolute local path or its URL, without trailing slash. What goes wrong before the
    first successful write is a RequestError (the address or the credentials are wrong), what goes
    wrong after it a RunError; FileNotFoundError and FileExistsError are answers, not failures.
    """

    def __init__(self, uri: str) -> None:
        scheme = uri.split("://", 1)[0] if "://" in uri else "file"
        self._backend = _Disk(uri) if scheme in ("file", "local") else _Cloud(scheme, uri)
        self.uri = self._backend.uri
        self._written = False

    def put(self, name: str, data: bytes) -> None:
        """Publishes `data` under `name`, whole or not at all; replaces what was there."""
        with self._explained(f"writing {name}", answers=()):
            self._backend.write(name, data)
        self._written = True

    def put_new(self, name: str, data: bytes) -> None:
        """Like `put`, but raises FileExistsError if `name` exists: of several callers one wins."""
        with self._explained(f"creating {name}", answers=(FileExistsError,)):
            self._backend.create(name, data)
        self._written = True

    def get(self, name: str) -> bytes:
        """Content of `name`; FileNotFoundError if there is none."""
        with self._explained(f"reading {name}"):
            return self._backend.read(name)

    def get_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """Contents by name, read concurrently; missing ones are left out."""
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            contents = pool.map(self._get_or_none, names)
            found = zip(names, contents, strict=True)
            return {name: content for name, content in found if content is not None}

    def list(self, folder: str) -> list[str]:
        """Sorted names of the files directly in `folder`, hidden ones left out; [] if none."""
        try:
            with self._explained(f"listing {folder or 'it'}"):
                files = self._backend.files(folder)
        except FileNotFoundError:
            return []
        prefix = f"{folder}/" if folder else ""
        return sorted(prefix + file for file in files if not file.startswith("."))

    def delete(self, names: Sequence[str]) -> None:
        """Deletes files; missing ones are ignored."""
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            for _ in pool.map(self._delete_one, names):
                pass

    def exists(self, name: str) -> bool:
        """Whether there is a file `name`."""
        with self._explained(f"looking for {name}"):
            return self._backend.has(name)

    def _get_or_none(self, name: str) -> bytes | None:
        try:
            return self.get(name)
        except FileNotFoundError:
            return None

    def _delete_one(self, name: str) -> None:
        with suppress(FileNotFoundError), self._explained(f"deleting {name}"):
            self._backend.remove(name)

    @contextmanager
    def _explained(
        self, doing: str, answers: tuple[type[OSError], ...] = (FileNotFoundError,)
    ) -> Iterator[None]:
        try:
            yield
        except self._backend.errors as error:
            if isinstance(error, answers) and not _names_bucket(error):
                raise
            message = f"{self.uri}: {doing} failed ({type(error).__name__}: {error})"
            if self._written:
                raise RunError(f"{message}; run the same command again to resume") from error
            raise RequestError(f"{message}; {self._backend.remedy}") from error


class _Backend(Protocol):
    uri: str
    errors: tuple[type[Exception], ...]  # what can go wrong when using it
    remedy: str

    def write(self, name: str, data: bytes) -> None: ...
    def create(self, name: str, data: bytes) -> None: ...
    def read(self, name: str) -> bytes: ...
    def files(self, folder: str) -> list[str]: ...
    def remove(self, name: str) -> None: ...
    def has(self, name: str) -> bool: ...


class _Disk:
    errors = (OSError,)
    remedy = "expected a folder that can be read and written: check the path and its permissions"

    def __init__(self, uri: str) -> None:
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

    def files(self, folder: str) -> list[str]:
        with os.scandir(self._path(folder)) as entries:
            return [entry.name for entry in entries if entry.is_file()]

    def remove(self, name: str) -> None:
        os.unlink(self._path(name))

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
        path = self._with_parent(f"{TEMPORARY}/{uuid.uuid4().hex}")
        try:
            with open(path, "xb") as file:
                _write_through(file.fileno(), data)
            yield path
        finally:
            with suppress(FileNotFoundError):  # published by a rename
                os.unlink(path)


class _Cloud:
    # Libraries of object stores raise errors of their own, unrelated to OSError.
    errors = (Exception,)
    _creating = threading.Lock()

    def __init__(self, scheme: str, uri: str) -> None:
        self.remedy = f"check the address, that {scheme} credentials are set and may write there"
        self._fs: AbstractFileSystem
        self._fs, root = _open_filesystem(scheme, uri)
        self._root = root.rstrip("/")
        if not self._root.strip("/"):
            raise RequestError(f"{uri}: names no bucket or folder, expected {scheme}://NAME/...")
        self.uri = uri.rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        self._fs.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> None:
        if self._fs.async_impl:  # the server decides who is first
            self._fs.pipe_file(self._path(name), data, mode="create")
        else:  # in this process; fsspec looks first and writes then
            with self._creating:
                self._fs.pipe_file(self._path(name), data, mode="create")

    def read(self, name: str) -> bytes:
        content: bytes = self._fs.cat_file(self._path(name))
        return content

    def files(self, folder: str) -> list[str]:
        path = self._path(folder)
        entries = self._fs.ls(path, detail=True)
        names = [e["name"].removeprefix(path + "/") for e in entries if e["type"] == "file"]
        return [name for name in names if name and "/" not in name]  # "": a folder placeholder

    def remove(self, name: str) -> None:
        # One by one: the bulk deletion of s3fs does not report what it could not delete.
        self._fs.rm_file(self._path(name))

    def has(self, name: str) -> bool:
        try:
            return bool(self._fs.info(self._path(name))["type"] == "file")
        except FileNotFoundError as error:
            if _names_bucket(error):
                raise
            return False

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def _open_filesystem(scheme: str, uri: str) -> tuple[AbstractFileSystem, str]:
    try:
        fs, root = url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        remedy = f'pip install "xaipipe[{extra}]"' if extra else str(error)
        raise RequestError(f"{uri}: {scheme}:// needs a package: {remedy}") from error
    except Exception as error:  # unknown protocol, malformed address, no credentials
        raise RequestError(
            f"{uri}: cannot be opened ({type(error).__name__}: {error}); expected a local folder, "
            "s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, and credentials for it"
        ) from error
    return fs, root


def _names_bucket(error: Exception) -> bool:
    """Whether a FileNotFoundError says that the whole bucket is missing."""
    return "bucket does not exist" in str(error)


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
