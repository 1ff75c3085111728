"""A folder in an object store, or in anything else that fsspec reaches by a URL."""

from __future__ import annotations

import threading

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from pipeline.errors import RequestError

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


class Cloud:
    """The backend of `Store` for URLs; RequestError if there is no way to open one."""

    # Libraries of object stores raise errors of their own, unrelated to OSError.
    errors: tuple[type[Exception], ...] = (Exception,)
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

    def files(self, folder: str) -> dict[str, int]:
        path = self._path(folder)
        entries = self._fs.ls(path, detail=True)
        sizes = {
            e["name"].removeprefix(path + "/"): e["size"] for e in entries if e["type"] == "file"
        }
        return {n: sizes[n] for n in sizes if n and "/" not in n}  # "": a folder placeholder

    def remove(self, name: str) -> None:
        # One by one: the bulk deletion of s3fs does not report what it could not delete.
        self._fs.rm_file(self._path(name))

    def remove_folder(self, folder: str) -> None:
        for path in self._fs.find(self._path(folder)):
            self._fs.rm_file(path)

    def has(self, name: str) -> bool:
        try:
            return bool(self._fs.info(self._path(name))["type"] == "file")
        except FileNotFoundError as error:
            if names_bucket(error):
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


def names_bucket(error: Exception) -> bool:
    """Whether a FileNotFoundError says that the whole bucket is missing."""
    return "bucket does not exist" in str(error)
