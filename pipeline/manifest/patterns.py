"""Patterns that stand for several files: `{000..010}`, `{train,val}`, and a glob's wildcards."""

from __future__ import annotations

import glob
import re
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError, describe

MOST = 1_000_000  # files; a mistyped range would fill the memory
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")


def matching(fs: Any, path: str, uri: str) -> list[str]:
    """The files that a path or pattern stands for, in order, as paths or URLs.

    RequestError where a pattern matches nothing. Whether a file that is named is there is not
    looked at.
    """
    if not has_pattern(uri) or fs.exists(path):
        return [path if isinstance(fs, LocalFileSystem) else uri]
    found: list[str] = []
    for one in expanded(path):
        found += _globbed(fs, one, uri) if glob.has_magic(one) else [one]
    if not found:
        raise RequestError(f"{uri}: matches no file; check the pattern")
    return found if isinstance(fs, LocalFileSystem) else [fs.unstrip_protocol(f) for f in found]


def has_pattern(uri: str) -> bool:
    """Whether it may stand for several files; of a web address, where ? begins a query, by {}."""
    web = uri.startswith(("http://", "https://"))
    return bool(_BRACES.search(uri)) or (not web and glob.has_magic(uri))


def expanded(text: str) -> list[str]:
    """`{a,b}` and `{00..10}` written out, as a shell would; RequestError for too many."""
    found = _BRACES.search(text)
    if found is None:
        return [text]
    choices = _choices(found[1]) or [found[0]]
    before, after = text[: found.start()], expanded(text[found.end() :])
    if len(choices) * len(after) > MOST:
        raise RequestError(f"{text}: stands for more than {MOST} files; check the pattern")
    return [before + choice + rest for choice in choices for rest in after]


def _choices(inside: str) -> list[str] | None:
    if numbers := _RANGE.fullmatch(inside):
        first, last = numbers.groups()
        width = len(first) if len(first) == len(last) or first.startswith("0") else 0
        if int(last) - int(first) >= MOST:
            raise RequestError(f"{{{inside}}}: stands for more than {MOST} files")
        return [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
    return inside.split(",") if "," in inside else None


def _globbed(fs: Any, path: str, uri: str) -> list[str]:
    try:
        local = isinstance(fs, LocalFileSystem)
        return sorted(glob.glob(path, recursive=True) if local else fs.glob(path))
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: cannot be listed: {describe(error)}") from error
