"""Paths of a manifest and of the images it names: local ones and URLs."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
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


def namer(base: str) -> Callable[[str], str]:
    """Function that names an image's path from `base`, the same wherever the data is mounted.

    What lies below the base is named from there, a relative path always; anything else keeps its
    whole path, but no scheme, credentials or signature.
    """
    resolve = resolver(base)
    top = _bare(resolve("")).rstrip("/")

    def name(path: str) -> str:
        relative = not path.startswith("/") and "://" not in path
        if relative and "./" not in path and "//" not in path:
            return path
        whole = _bare(resolve(path))
        if whole.startswith(f"{top}/"):
            return whole[len(top) + 1 :]
        return posixpath.relpath(whole, top or "/") if relative else whole

    return name


_SECRET = re.compile(
    r"x-(amz|goog)-|(sig|expires|policy|key-pair-id)$|"
    r".*(api[-_]?key|access[-_]?key|token|signature|credential|secret|passw)",
    re.IGNORECASE,
)
_SAS = {"sv", "sr", "se", "sp", "st", "spr", "sip", "ss", "srt"}  # what Azure signs with `sig`
_AT_IN_NAME = ("abfs", "abfss", "az", "wasb", "wasbs")  # CONTAINER@ACCOUNT


def _bare(uri: str) -> str:
    """A path, or a URL without scheme, credentials and signature."""
    scheme, remote, rest = uri.partition("://")
    if not remote:
        return uri
    host, slash, path = rest.partition("/")
    if scheme not in _AT_IN_NAME:
        host = host.rpartition("@")[2]
    if scheme in ("http", "https"):
        path, _, query = path.partition("?")
        pairs = [(pair.partition("=")[0], pair) for pair in query.split("&") if pair]
        signed = _SAS if any(key == "sig" for key, _ in pairs) else set()
        kept = [pair for key, pair in pairs if key not in signed and not _SECRET.match(key)]
        path += f"?{'&'.join(kept)}" if kept else ""
    return host + slash + path


def file_name(id_: str) -> str:
    """An id as the beginning of a file's name; where characters are replaced, still unique."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in id_)
    if plain == id_:
        return id_
    digest = hashlib.blake2b(id_.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{plain}-{digest}"


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
