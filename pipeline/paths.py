"""Paths of a manifest and of the images it names: local ones and URLs."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from pipeline.members import Member

LONGEST_NAME = 120  # bytes of a file's name; disks take 255, and a suffix follows


def plain_path(uri: str) -> str:
    """A local path without `file://` and `~`; another URL stays as it is."""
    return uri.removeprefix("file://") if "://" in uri else os.path.expanduser(uri)


def resolver(base: str) -> Callable[[str], str]:
    """Function that makes an image's path absolute; a URL stays as it is.

    Of an image in a file with others it is the file's path.
    """
    scheme, remote, folder = base.rpartition("://")
    if not remote:
        base = os.path.abspath(base)

    def resolve(path: str) -> str:
        if "://" in path:
            member = Member.of(path)
            if member is not None:
                return str(member.in_file(resolve(member.file)))
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
        if (member := Member.of(path)) is not None:
            return f"{name(member.file)}/{member.inner}"
        whole = _bare(resolve(path))
        if whole.startswith(f"{top}/"):
            return whole[len(top) + 1 :]
        return posixpath.relpath(whole, top or "/") if relative else whole

    return name


_SECRET = re.compile(  # names of values in a URL's query
    r"x-(amz|goog)-|(sig|expires|policy|key-pair-id|pass|pwd|jwt|auth|authorization|session(id)?)$|"
    r".*(api[-_]?key|access[-_]?key|account[-_]?key|token|signature|credential|secret|passw)",
    re.IGNORECASE,
)
_SAS = {"sv", "sr", "se", "sp", "st", "spr", "sip", "ss", "srt"}  # what Azure signs with `sig`
_AT_IN_NAME = ("abfs", "abfss", "az", "wasb", "wasbs")  # CONTAINER@ACCOUNT
_USER = re.compile(  # the second form: a password with a `/` in it
    r"""([a-z][a-z0-9+.-]*)://
    (?:[^\s/?\#"<>]*@ | [^\s/?\#"<>:@\[]*:(?!\d*[/?\#])(?:(?!://)[^\s"<>@])*@)""",
    re.IGNORECASE | re.VERBOSE,
)
_QUERY = re.compile(r"[?#][^?#\s\"<>]*")
_PUNCTUATION = re.compile(r"[].:,;)}']*$")  # of the sentence around a URL


def redacted(text: str) -> str:
    """A URL, or a text with URLs, without user names, passwords, signatures and tokens.

    What is left names the same thing. A plain path stays as it is.
    """
    if "://" not in text and ("?" not in text or not re.search(r"\s", text)):
        return text
    return _QUERY.sub(_open_query, _USER.sub(_without_user, text))


def all_redacted(value: Any) -> Any:
    """Plain data (mappings, lists, texts, numbers) with all its texts `redacted`."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {all_redacted(key): all_redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(all_redacted, value))
    return value


def _without_user(found: re.Match[str]) -> str:
    return found[0] if found[1].lower() in _AT_IN_NAME else f"{found[1]}://"


def _open_query(found: re.Match[str]) -> str:
    """`?a=1&sig=2` as `?a=1`."""
    pairs = [(unquote(pair.partition("=")[0]), pair) for pair in found[0][1:].split("&")]
    signed = _SAS if any(key == "sig" for key, _ in pairs) else set()
    kept = [
        pair
        for key, pair in pairs
        if not (key in signed or _SECRET.match(key) or pair.startswith("key=AIza"))
    ]
    if len(kept) == len(pairs):
        return found[0]
    end = _PUNCTUATION.search(pairs[-1][1])
    rest = f"{found[0][0]}{'&'.join(kept)}" if kept else ""
    return rest + (end[0] if end and kept[-1:] != [pairs[-1][1]] else "")


def _bare(uri: str) -> str:
    """A path, or a URL without scheme and secrets."""
    return redacted(uri).partition("://")[2] if "://" in uri else uri


def file_name(id_: str) -> str:
    """An id as the beginning of a file's name: a visible one that fits; still unique."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in id_)
    plain = "_" * plain.startswith(".") + plain
    plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
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
