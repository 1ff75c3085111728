"""Commits: what a shard adds to a run, and the names of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

TABLES = ("images", "explanations", "masks", "failures")


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """Content of one marker: what a shard has added to the run.

    `rows` and `bytes` count per table, `seconds` is the worker's time, `finished` is in seconds
    since the epoch.
    """

    shard: str
    explained: tuple[str, ...]
    failed: tuple[str, ...]
    rows: dict[str, int]
    bytes: dict[str, int]
    seconds: float
    finished: float
    worker: str


def shard_name(ids: Sequence[str], salt: str = "") -> str:
    """Deterministic name of a shard: `s-` and 16 hexadecimal digits."""
    text = json.dumps([salt, *ids])  # JSON, as ids may hold any separator
    return f"s-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def shard_of(name: str) -> str:
    """The shard that a file belongs to, by the file's name."""
    return name.rpartition("/")[2].rpartition(".")[0]


def is_shard_file(name: str) -> bool:
    """Whether a driver has named this table file."""
    return shard_of(name).startswith("s-") and name.endswith(".parquet")
