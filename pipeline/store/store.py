"""One folder on a local disk or in an object store: whole files or none, create-only files.

Names are posix paths relative to the folder (`images/s-1.parquet`). Listings are never cached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol

from pipeline.errors import RequestError, RunError
from pipeline.store.cloud import Cloud, names_bucket
from pipeline.store.disk import Disk
from pipeline.store.layout import RUN

CONCURRENCY = 32  # simultaneous requests of `get_many` and `delete`


class Store:
    """One folder on a local disk or an object store.

    `uri` is its absolute local path or its URL, without trailing slash; on a disk, files are in the
    folder `temporary` until they are whole. What goes wrong before the
    first successful write is a RequestError (the address or the credentials are wrong), what goes
    wrong after it a RunError; FileNotFoundError and FileExistsError are answers, not failures.
    """

    def __init__(self, uri: str, temporary: str = RUN.temporary) -> None:
        scheme = uri.split("://", 1)[0] if "://" in uri else "file"
        local = scheme in ("file", "local")
        self._backend: _Backend = Disk(uri, temporary) if local else Cloud(scheme, uri)
        self.uri = self._backend.uri
        self._written = False

    def put(self, name: str, data: bytes) -> None:
        """Publishes `data` under `name`, whole or not at all; replaces what was there."""
        with self._explained(f"writing {name}", answers=()):
            self._backend.write(name, data)
        self._written = True

    def put_new(self, name: str, data: bytes) -> None:
        """Like `put`, but raises FileExistsError if `name` exists: of several callers one wins.

        Not if it holds just this: a store's client repeats a request whose answer was lost.
        """
        with self._explained(f"creating {name}", answers=(FileExistsError,)):
            try:
                self._backend.create(name, data)
            except FileExistsError:
                if not self._holds(name, data):
                    raise
        self._written = True

    def get(self, name: str) -> bytes:
        """Content of `name`; FileNotFoundError if there is none."""
        with self._explained(f"reading {name}"):
            return self._backend.read(name)

    def get_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """Contents by name, read concurrently; missing ones are left out."""
        count = min(CONCURRENCY, len(names))
        with ThreadPoolExecutor(CONCURRENCY) as pool:  # a part each: a small file costs less
            parts = pool.map(self._found, (names[n::count] for n in range(count)))
            found = {name: content for part in parts for name, content in part.items()}
        return {name: found[name] for name in names if name in found}

    def list(self, folder: str) -> list[str]:
        """Sorted names of the files directly in `folder`, hidden ones left out; [] if none."""
        return list(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Like `list`, each with its size in bytes."""
        try:
            with self._explained(f"listing {folder or 'it'}"):
                files = self._backend.files(folder)
        except FileNotFoundError:
            return {}
        prefix = f"{folder}/" if folder else ""
        return {prefix + f: files[f] for f in sorted(files) if not f.startswith(".")}

    def delete(self, names: Sequence[str]) -> None:
        """Deletes files; missing ones are ignored."""
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            for _ in pool.map(self._delete_one, names):
                pass

    def delete_folder(self, folder: str) -> None:
        """Deletes a folder with all that is in it; a missing one is ignored."""
        with suppress(FileNotFoundError), self._explained(f"deleting {folder}"):
            self._backend.remove_folder(folder)

    def exists(self, name: str) -> bool:
        """Whether there is a file `name`."""
        with self._explained(f"looking for {name}"):
            return self._backend.has(name)

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return self._backend.read(name) == data
        except FileNotFoundError:  # deleted since
            return False

    def _found(self, names: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = self.get(name)
        return found

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
            if isinstance(error, answers) and not names_bucket(error):
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
    def files(self, folder: str) -> dict[str, int]: ...
    def remove(self, name: str) -> None: ...
    def remove_folder(self, folder: str) -> None: ...
    def has(self, name: str) -> bool: ...
