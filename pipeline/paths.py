"""Paths of a manifest and of the images it names: local ones and URLs."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable


def plain_path(uri: str) -> str:
    """A local path without `file://` and `~`; another URL stays as it is."""
    return uri.removeprefix("file://") if "://" in uri else os.path.expanduser(uri)


def resolver(base: str) -> Callable[[str], str]:
    """Function that makes an image's path absolute; a URL stays as it is."""
    scheme, remote, folder = base.rpartition("://")
    if not remote:
        base = os.path.abspath(base)

    def resolve(path: str) -> str:
        if "://" in path:
            return path.removeprefix("file://")
        if not remote or path.startswith("/"):
            return os.path.normpath(os.path.join(base, path))
        joined = posixpath.join(folder, path)
        # an object's key may well hold `//`, which normalising would lose
        return f"{scheme}://{posixpath.normpath(joined) if './' in path else joined}"

    return resolve


def unwritable(file: str) -> str | None:
    """Why a local file cannot be written, None if it can; makes its folder."""
    folder = os.path.dirname(os.path.abspath(file))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    if os.path.isdir(file):
        return "it is a folder"
    if not os.access(file if os.path.exists(file) else folder, os.W_OK):
        return "no permission"
    return None
