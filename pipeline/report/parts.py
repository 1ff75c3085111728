"""A run in parts: readers of a few shards each, so that no table is in memory as a whole.

All rows of an image lie in the files of one shard, so a part can be joined by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipeline.store import name_of
from pipeline.tables import RunReader

KEY = ("id", "target")  # tells explained images apart
SHARDS = 64  # of a part; their files are read concurrently


def parts(reader: RunReader, shards: int = SHARDS) -> Iterator[RunReader]:
    """Readers that have every explained image between them, each in one of them."""
    names = [name_of(file) for file in reader.index.files["images"]]
    for start in range(0, len(names), shards):
        yield reader.part(names[start : start + shards])


def home(reader: RunReader, ids: Collection[str]) -> RunReader:
    """A reader of the shards alone that hold these images."""
    return reader.part({name for id_ in ids for name in reader.index.names_of(id_)})
