"""Where a manifest lies: the file system of a path or URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError, describe

SILENT_S, TOTAL_S = 60.0, 300.0  # that a server may say nothing, and take for a request


def filesystem(uri: str) -> tuple[Any, str]:
    """A file system and a path in it; a plain path is taken as it is.

    fsspec would read a meaning into `::` in it.
    """
    if "://" not in uri:
        return LocalFileSystem(), os.path.abspath(uri)
    more: dict[str, Any] = {}
    if uri.startswith(("http://", "https://")):
        from aiohttp import ClientTimeout

        more["client_kwargs"] = {"timeout": ClientTimeout(total=TOTAL_S, sock_read=SILENT_S)}
    fs, path = fsspec.core.url_to_fs(uri, **more)
    return fs, path


@contextmanager
def reading(file: str, what: str) -> Iterator[None]:
    """RequestError for whatever goes wrong with one of several files."""
    try:
        yield
    except RequestError:
        raise
    except FileNotFoundError as error:
        raise RequestError(f"{file}: there is no such file") from error
    except Exception as error:  # every store raises its own
        raise RequestError(f"{file}: {what} cannot be read: {describe(error)}") from error
