"""What lies in the folder of a run, from one listing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipeline.store.commits import TABLES, Commit, is_shard_file, lease_of, name_of
from pipeline.store.documents import damaged, decode
from pipeline.store.leases import Lease
from pipeline.store.store import Store

COMMITS = "_run/commits"
BATCH = 512  # markers read at a time


class Contents:
    """The markers and tables of a run as they lie there.

    A marker counts if the newest lease counts it and its tables' files are all there, of the sizes
    that it names.
    """

    def __init__(self, store: Store) -> None:
        # In this order: who commits or takes over meanwhile is seen as before or as after it.
        markers = [name for name in store.list(COMMITS) if name.endswith(".json")]
        self.sizes = {file: size for table in TABLES for file, size in store.sizes(table).items()}
        self.lease = Lease.newest(store)
        self._store = store
        self.markers = sorted(markers, key=lambda file: (-lease_of(name_of(file)), file))

    def commits(self) -> Iterator[Commit]:
        """What counts, the newest lease first, read a batch at a time."""
        return (commit for commit, whole in self.read() if whole)

    def read(self) -> Iterator[tuple[Commit, bool]]:
        """Commits that the newest lease counts, and whether their files are all there."""
        names = [name for name in self.markers if self.lease.counts(name_of(name))]
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            found = self._store.get_many(batch)
            for name in batch:
                if name in found:
                    commit = decode_commit(self._store, name, found[name])
                    yield commit, self._holds(commit)

    def left_over(self, keep: Collection[str], before: int) -> list[str]:
        """Files of shards that are not to be kept, of leases before this number."""
        files = [*self.markers, *filter(is_shard_file, self.sizes)]
        return [f for f in files if name_of(f) not in keep and lease_of(name_of(f)) < before]

    def _holds(self, commit: Commit) -> bool:
        return all(self.sizes.get(file) == size for file, size in commit.files.items())


def decode_commit(store: Store, name: str, data: bytes) -> Commit:
    """The marker of this name; RunError if it is damaged."""
    content = decode(store, name, data)
    try:
        content |= {key: tuple(content[key]) for key in ("explained", "failed")}
        return Commit(**content)
    except (KeyError, TypeError) as error:
        raise damaged(store, name, str(error)) from error
