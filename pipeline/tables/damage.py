"""Damaged tables: which file it is that Arrow cannot read."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa

from pipeline.errors import RequestError, RunError, describe
from pipeline.store import RunFolder, Store, hash_of

_opened: dict[str, Store] = {}  # by URI: what this process has read


def remember(store: Store) -> None:
    """Tables are read from here."""
    _opened.pop(store.uri, None)
    _opened[store.uri] = store


def damaged_table(error: BaseException) -> str | None:
    """What is wrong and what to do, where this error came of a damaged table that was read.

    Reads the tables' files and compares them with the hashes in their markers.
    """
    if not isinstance(error, pa.ArrowException | OSError):
        return None
    for store in reversed(_opened.values()):  # the last one is the likeliest
        with suppress(RequestError, RunError, FileNotFoundError):
            if file := _damaged_file(store):
                return (
                    f"{store.uri}: {file} is damaged ({describe(error)}); delete it and repeat "
                    "`xaipipe run`, which explains its images anew"
                )
    return None


def _damaged_file(store: Store) -> str | None:
    for commit in RunFolder(store).commits():
        for file in commit.files:
            if hash_of(store.get(file)) != commit.hashes.get(file.partition("/")[0]):
                return file
    return None
