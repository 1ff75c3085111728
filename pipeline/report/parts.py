"""A run in parts: readers of a few shards each, so that no table is in memory as a whole.

All rows of an image lie in the files of one shard, so a part can be joined by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store import RunFolder
from pipeline.tables import RunReader, read

SHARDS = 64  # of a part; their files are read concurrently


class _Shards(RunFolder):
    """A run's folder that shows the tables of some shards alone."""

    def __init__(self, reader: RunReader, names: Sequence[str]) -> None:
        super().__init__(reader.store)
        self._names = names

    def table_files(self, table: str) -> list[str]:
        return [f"{table}/{name}.parquet" for name in self._names]


def parts(reader: RunReader, shards: int = SHARDS) -> Iterator[RunReader]:
    """Readers that have every explained image between them, each in one of them."""
    names = [_stem(name) for name in reader.folder.table_files("images")]
    for start in range(0, len(names), shards):
        yield _part(reader, names[start : start + shards])


def homes(reader: RunReader, ids: Collection[str]) -> dict[str, RunReader]:
    """For each image a reader of its shard alone: it finds the image's rows at once."""
    wanted = pc.field("id").isin(pa.array(list(ids), pa.string()))
    found = reader.images.to_table(columns=["id", "__filename"], filter=wanted)
    files = zip(found["id"].to_pylist(), found["__filename"].to_pylist(), strict=True)
    return {id_: _part(reader, [_stem(file)]) for id_, file in files}


def _part(reader: RunReader, names: Sequence[str]) -> RunReader:
    part = read(reader.store.uri)
    part.folder = _Shards(reader, names)
    return part


def _stem(file: str) -> str:
    return PurePosixPath(file).stem
