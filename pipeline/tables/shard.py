"""The shard: the unit of scheduling, retry and commit, and what a worker returns for it.

No torch here: it is all that a worker that computes nothing has to import.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.manifest import ImageRef
from pipeline.store import TABLES, Commit, shard_name
from pipeline.tables.records import Row
from pipeline.tables.schemas import encode, schemas


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of scheduling, retry and commit."""

    refs: tuple[ImageRef, ...]
    salt: str = ""  # tells a repeated attempt at the same images from the first one

    @property
    def name(self) -> str:
        """Deterministic: the names of its files follow from its ids."""
        return shard_name([ref.id for ref in self.refs], self.salt)


@dataclass(frozen=True, slots=True)
class ShardResult:
    """Encoded tables of one shard and the marker that commits them."""

    tables: dict[str, bytes]
    commit: Commit


@dataclass(slots=True)
class Rows:
    """Rows of the tables while a shard is worked on."""

    images: list[Row] = field(default_factory=list)
    explanations: list[Row] = field(default_factory=list)
    masks: list[Row] = field(default_factory=list)
    failures: list[Row] = field(default_factory=list)


def shard_result(
    shard: Shard, rows: Rows, extra_types: dict[str, pa.DataType], seconds: float, worker: str
) -> ShardResult:
    """Encode what was found; empty tables are left out."""
    by_table = {table: getattr(rows, table) for table in TABLES}
    kinds = schemas(extra_types)
    tables = {name: encode(found, kinds[name]) for name, found in by_table.items() if found}
    commit = Commit(
        shard=shard.name,
        explained=tuple(row["id"] for row in rows.images),
        failed=tuple(row["id"] for row in rows.failures),
        rows={name: len(found) for name, found in by_table.items()},
        bytes={name: len(data) for name, data in tables.items()},
        seconds=seconds,
        finished=time.time(),
        worker=worker,
    )
    return ShardResult(tables, commit)
