"""Where an export goes: a new folder, local or behind a URL, that gets whole files or none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError
from pipeline.paths import plain_path


class Destination:
    """An empty or new folder; RequestError if it is neither, or cannot be written."""

    def __init__(self, uri: str) -> None:
        self.uri = plain_path(uri).rstrip("/")
        try:
            self._fs, self._root = url_to_fs(self.uri)
            held = self._fs.ls(self._root, detail=False) if self._fs.exists(self._root) else []
            if isinstance(self._fs, LocalFileSystem):
                self._fs.makedirs(self._root, exist_ok=True)
        except Exception as error:  # every store raises its own
            raise self._refusal(f"{type(error).__name__}: {error}") from error
        if held:
            name = str(held[0]).rpartition("/")[2]
            raise RequestError(f"--dest {uri}: holds {name}; expected a new or empty folder")

    def put(self, name: str, data: bytes) -> None:
        """One file."""
        with self.file(name) as stream:
            stream.write(data)

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """One file, to be written piece by piece; it appears when all of it has been."""
        with tempfile.NamedTemporaryFile() as stream:
            yield stream
            stream.flush()
            path = f"{self._root}/{name}"
            try:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._fs.put_file(stream.name, path)
            except Exception as error:  # every store raises its own
                raise self._refusal(f"{type(error).__name__}: {error}") from error

    def _refusal(self, found: str) -> RequestError:
        return RequestError(
            f"--dest {self.uri}: cannot be written ({found}); expected a folder or URL that you "
            "may write to"
        )
