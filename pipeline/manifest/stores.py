"""Where a manifest lies: the file system of a path or URL."""

from __future__ import annotations

import os
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

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
