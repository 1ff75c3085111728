"""The shard: the unit of scheduling, retry and commit, and what a worker returns for it.

No torch here: it is all that a worker that computes nothing has to import.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.manifest import ImageRef
from pipeline.store import RUN, TABLES, Commit, Layout, hash_of, shard_name
from pipeline.tables.records import Row
from pipeline.tables.schemas import FAILURES, encode, schemas


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of scheduling, retry and commit.

    salt     tells a repeated attempt at the same images from the first one
    layout   of the kind of work
    sources  of an analysis: names of the commits that hold what is known of the images, in its run
             (one), and in each other run that it reads
    """

    refs: tuple[ImageRef, ...]
    salt: str = ""
    layout: Layout = RUN
    sources: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        """Deterministic: the names of its files follow from its ids."""
        return shard_name([ref.id for ref in self.refs], self.salt)

    @property
    def source(self) -> str:
        """The commit of the run that an analysis reads."""
        return self.sources[0][0] if self.sources else ""


@dataclass(frozen=True, slots=True)
class ShardResult:
    """Encoded tables of one shard and the marker that commits them.

    notes  what its worker has to say since its last shard
    """

    tables: dict[str, bytes]
    commit: Commit
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Rows:
    """Rows of the tables while a shard is worked on."""

    images: list[Row] = field(default_factory=list)
    explanations: list[Row] = field(default_factory=list)
    masks: list[Row] = field(default_factory=list)
    failures: list[Row] = field(default_factory=list)


def shard_result(
    shard: Shard,
    rows: Rows,
    extra_types: dict[str, pa.DataType],
    seconds: float,
    worker: str,
    contrast: bool = False,
) -> ShardResult:
    """Encode what was found; empty tables are left out."""
    by_table = {table: getattr(rows, table) for table in TABLES}
    explained = dict.fromkeys(row["id"] for row in rows.images)  # once, with all its classes
    kinds = schemas(extra_types, contrast)
    return encoded(shard, by_table, kinds, list(explained), seconds, worker)


def failed_result(shard: Shard, failures: list[Row], seconds: float, worker: str) -> ShardResult:
    """A result of failures alone, of any kind of work."""
    table = shard.layout.failures
    return encoded(shard, {table: failures}, {table: FAILURES}, [], seconds, worker)


def encoded(
    shard: Shard,
    by_table: Mapping[str, Sequence[Row]],
    kinds: Mapping[str, pa.Schema],
    explained: Sequence[str],
    seconds: float,
    worker: str,
) -> ShardResult:
    """A result of these rows; the last table of the shard's layout is that of failures.

    explained  ids of images that are done, whether they have led to rows or not
    """
    tables = {name: encode(found, kinds[name]) for name, found in by_table.items() if found}
    commit = Commit(
        shard=shard.name,
        explained=tuple(explained),
        failed=tuple(row["id"] for row in by_table[shard.layout.failures]),
        rows={name: len(found) for name, found in by_table.items()},
        bytes={name: len(data) for name, data in tables.items()},
        seconds=seconds,
        finished=time.time(),
        worker=worker,
        hashes={name: hash_of(data) for name, data in tables.items()},
        stands={ref.id: ref.stands for ref in shard.refs if ref.stands},
        source=shard.source,
    )
    return ShardResult(tables, commit)
