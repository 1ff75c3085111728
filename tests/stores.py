"""For tests of stores: a client that repeats requests, and drivers in a race."""

from __future__ import annotations

import threading

from pipeline.store import RunFolder
from pipeline.store.store import Store


class Repeating(Store):
    """A store whose client loses each answer and repeats the request."""

    def put_new(self, name: str, data: bytes) -> None:
        super().put_new(name, data)
        super().put_new(name, data)


def race_to_create(uri: str, name: str, drivers: int = 8) -> list[int]:
    """Who could create `name`, of several that try at the same time."""
    winners = []
    barrier = threading.Barrier(drivers)
    stores = [Store(uri) for _ in range(drivers)]

    def create(i: int) -> None:
        barrier.wait()
        try:
            stores[i].put_new(name, str(i).encode())
            winners.append(i)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=create, args=(i,)) for i in range(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners


def table_files(folder: RunFolder) -> dict[str, list[str]]:
    """Names of the committed files of each table."""
    found: dict[str, list[str]] = {table: [] for table in folder.layout.tables}
    for commit in folder.commits():
        for file in commit.files:
            found[file.rpartition("/")[0]].append(file)
    return {table: sorted(files) for table, files in found.items()}
