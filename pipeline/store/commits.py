"""Commits: what a shard adds to a run, and the names of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """Content of one marker: what a shard has added to the run.

    `rows` and `bytes` count per table, `hashes` are of the tables' files (`hash_of`), `seconds` is
    the worker's time, `finished` is in seconds since the epoch. `stands` has a digest of what an id
    stood for, where that is more than the id. `lease` is the one under which it was written.
    `source` names the commit of the run that an analysis has read.
    """

    shard: str
    explained: tuple[str, ...]
    failed: tuple[str, ...]
    rows: dict[str, int]
    bytes: dict[str, int]
    seconds: float
    finished: float
    worker: str
    hashes: dict[str, str] = field(default_factory=dict)
    stands: dict[str, int] = field(default_factory=dict)
    lease: int = 0
    source: str = ""

    @property
    def name(self) -> str:
        """Name of its files, without folder and suffix."""
        return file_name(self.shard, self.lease)

    @property
    def files(self) -> dict[str, int]:
        """Its tables' files and their sizes in bytes."""
        return {f"{table}/{self.name}.parquet": size for table, size in self.bytes.items()}


def shard_name(ids: Sequence[str], salt: str = "") -> str:
    """Deterministic name of a shard: `s-` and 16 hexadecimal digits."""
    text = json.dumps([salt, *ids])  # JSON, as ids may hold any separator
    return f"s-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def file_name(shard: str, lease: int) -> str:
    """Name of a shard's files: no two leases share one, so none can touch another's."""
    return f"{shard}-{lease:06d}"


def name_of(file: str) -> str:
    """A file's name without folder and suffix."""
    return file.rpartition("/")[2].rpartition(".")[0]


def lease_of(name: str) -> int:
    """Number of the lease that has named a shard's files; 0 for none."""
    number = name.removeprefix("s-").partition("-")[2]
    return int(number) if number.isdecimal() else 0


def is_shard_file(file: str) -> bool:
    """Whether a driver has named this table file."""
    return name_of(file).startswith("s-") and file.endswith(".parquet")


def hash_of(data: bytes) -> str:
    """Hash of a table's file: 32 hexadecimal digits (blake2b)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
