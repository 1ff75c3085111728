"""What lies in the folder of a run, from one listing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from pipeline.store.commits import Commit, is_shard_file, lease_of, name_of
from pipeline.store.documents import damaged, decode
from pipeline.store.layout import RUN, Layout
from pipeline.store.leases import Lease
from pipeline.store.store import Store

BATCH = 512  # markers read at a time


class Contents:
    """The markers and tables of a run as they lie there.

    A marker counts if the newest lease counts it and its tables' files are all there, of the sizes
    that it names; one of an analysis only as long as the commit of the run that it has read does.
    """

    def __init__(self, store: Store, layout: Layout = RUN) -> None:
        self._sources = None if layout == RUN else Contents(store).counted()
        # In this order: who commits or takes over meanwhile is seen as before or as after it.
        markers = [name for name in store.list(layout.commits) if name.endswith(".json")]
        self.sizes = {
            file: size for table in layout.tables for file, size in store.sizes(table).items()
        }
        self.lease = Lease.newest(store, layout)
        self._store, self._listed = store, set(layout.tables)
        self.markers = sorted(markers, key=lambda file: (-lease_of(name_of(file)), file))

    def commits(self) -> Iterator[Commit]:
        """What counts, the newest lease first, read a batch at a time."""
        return (commit for commit, whole in self.read() if whole)

    def holding(self, id_: str) -> Iterator[Commit]:
        """Of what counts, that which knows this id; other markers are read, but not decoded."""
        return (commit for commit, whole in self.read(json.dumps(id_).encode()) if whole)

    def read(self, text: bytes = b"") -> Iterator[tuple[Commit, bool]]:
        """Commits that the newest lease counts, and whether their files are all there.

        text  only those whose marker has it
        """
        names = [name for name in self.markers if self.lease.counts(name_of(name))]
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            found = self._store.get_many(batch)
            for name in batch:
                if text in found.get(name, b"") and name in found:
                    commit = decode_commit(self._store, name, found[name])
                    yield commit, self._holds(commit)

    def counted(self) -> frozenset[str]:
        """Names of the commits that the newest lease counts."""
        return frozenset(filter(self.lease.counts, map(name_of, self.markers)))

    def left_over(self, keep: Collection[str], before: int) -> list[str]:
        """Files of shards that are not to be kept, of leases before this number."""
        files = [*self.markers, *filter(is_shard_file, self.sizes)]
        return [f for f in files if name_of(f) not in keep and lease_of(name_of(f)) < before]

    def _holds(self, commit: Commit) -> bool:
        current = self._sources is None or commit.source in self._sources
        return current and all(self._size(f) == size for f, size in commit.files.items())

    def _size(self, file: str) -> int | None:
        """Of a table's file, also of a table that the layout does not name."""
        table = file.rpartition("/")[0]
        if table not in self._listed:
            self.sizes |= self._store.sizes(table)
            self._listed.add(table)
        return self.sizes.get(file)


def decode_commit(store: Store, name: str, data: bytes) -> Commit:
    """The marker of this name; RunError if it is damaged."""
    content = decode(store, name, data)
    try:
        content |= {key: tuple(content[key]) for key in ("explained", "failed")}
        return Commit(**content)
    except (KeyError, TypeError) as error:
        raise damaged(store, name, str(error)) from error
