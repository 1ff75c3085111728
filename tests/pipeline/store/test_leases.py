"""Fencing: what a driver does that has been taken over from, whenever it wakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from pipeline.errors import RequestError, RunError
from pipeline.store import TABLES, Commit, Committed, RunFolder, RunLock, shard_name
from pipeline.store import lock as lock_module
from pipeline.store.store import Store
from tests.stores import table_files

FINGERPRINT: dict[str, Any] = {"weights": "ab12"}
IDS = tuple("abcdef")


@pytest.fixture(autouse=True)
def nobody_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is stopped counts as dead, as one of another machine does after a while."""
    monkeypatch.setattr(lock_module, "is_running", lambda pid, born: False)


def shard(ids: Sequence[str], failed: Sequence[str] = ()) -> tuple[dict[str, bytes], Commit]:
    """Tables of some bytes an id, and their marker."""
    tables = {table: f"{table} {ids}".encode() for table in TABLES[:3]}
    return tables, Commit(
        shard=shard_name(ids),
        explained=tuple(id_ for id_ in ids if id_ not in failed),
        failed=tuple(failed),
        rows={},
        bytes={table: len(data) for table, data in tables.items()},
        seconds=1.0,
        finished=2.0,
        worker="",
    )


def work(store: Store, size: int) -> list[str]:
    """A driver from its lock to its end, with shards of `size`; returns what it had to explain."""
    with RunLock(store) as lock:
        folder = RunFolder(store)
        folder.open(FINGERPRINT, lock)
        committed = Committed.of(folder)
        folder.begin(committed.names)
        assert committed.contents is not None
        folder.sweep(committed.contents)
        pending = [id_ for id_ in IDS if id_ not in committed.explained]
        for start in range(0, len(pending), size):
            folder.commit(*shard(pending[start : start + size]))
        folder.check_lock()
    return pending


def ids_of(uri: str) -> list[str]:
    """Ids of all commits that count, and every table's file belongs to one of them."""
    folder = RunFolder(Store(uri))
    commits = list(folder.commits())
    files = {file for table in TABLES for file in Store(uri).list(table)}
    assert files == {file for commit in commits for file in commit.files}
    markers = {f"_run/commits/{commit.name}.json" for commit in commits}
    assert set(Store(uri).list("_run/commits")) == markers
    return sorted(id_ for commit in commits for id_ in commit.explained)


class Sleepy(Store):
    """A store whose owner sleeps right before its n-th use, while others do what `meanwhile`."""

    def __init__(self, uri: str, step: int, meanwhile: Callable[[], object]) -> None:
        super().__init__(uri)
        self.left, self.meanwhile = step, meanwhile
        self.slept = False

    def _use(self) -> None:
        self.left -= 1
        if self.left < 0 and not self.slept:
            self.slept = True
            self.meanwhile()

    def put(self, name: str, data: bytes) -> None:
        self._use()
        super().put(name, data)

    def put_new(self, name: str, data: bytes) -> None:
        self._use()
        super().put_new(name, data)

    def get(self, name: str) -> bytes:
        self._use()
        return super().get(name)

    def sizes(self, folder: str) -> dict[str, int]:
        self._use()
        return super().sizes(folder)

    def exists(self, name: str) -> bool:
        self._use()
        return super().exists(name)

    def delete(self, names: Sequence[str]) -> None:
        self._use()
        super().delete(names)


@pytest.mark.parametrize("answered", [False, True])
def test_a_store_that_fails_at_any_use_ends_a_run_that_goes_on(
    tmp_path: Any, answered: bool
) -> None:
    """Before the use is done, or after it: then the answer is lost."""

    class Failing(Sleepy):
        def put(self, name: str, data: bytes) -> None:
            if answered and self.left == 0:
                Store.put(self, name, data)
            super().put(name, data)

        def put_new(self, name: str, data: bytes) -> None:
            if answered and self.left == 0:
                Store.put_new(self, name, data)
            super().put_new(name, data)

    def fail() -> None:
        raise RunError("the store is away")

    step, failed = 0, True
    while failed:
        uri = str(tmp_path / str(step))
        store = Failing(uri, step, fail)
        try:
            work(store, 2)
        except RunError:
            pass
        work(Store(uri), 3)
        assert ids_of(uri) == list(IDS), step
        step, failed = step + 1, store.slept
    assert step > 40


def test_a_lock_that_is_lost_between_tables_and_marker_leaves_nothing(store_uri: str) -> None:
    created: list[str] = []

    class Stopped(Store):
        def put(self, name: str, data: bytes) -> None:
            super().put(name, data)
            if name.startswith("images/"):
                work(Store(store_uri), 6)

        def put_new(self, name: str, data: bytes) -> None:
            created.append(name)
            super().put_new(name, data)

    with pytest.raises(RunError, match="taken over"):
        work(Stopped(store_uri), 6)
    assert [name for name in created if name.startswith("_run/commits")] == []
    assert ids_of(store_uri) == list(IDS)
    assert all(len(Store(store_uri).list(table)) == 1 for table in TABLES[:3])


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_driver_wakes_at_each_of_its_steps_after_another_has_finished(
    kind: str, tmp_path: Any
) -> None:
    """With shards of another size, so that no names are the same by chance."""
    step, slept, lost = 0, True, 0
    while slept:
        uri = str(tmp_path / str(step)) if kind == "disk" else f"memory://{tmp_path}/{step}"
        store = Sleepy(uri, step, partial(work, Store(uri), 3))
        try:
            work(store, 2)
        except RunError as error:
            assert "taken over" in str(error)
            lost += 1
        assert ids_of(uri) == list(IDS), step
        assert work(Store(uri), 4) == [], step
        assert ids_of(uri) == list(IDS), step
        step, slept = step + 1, store.slept
    assert step > 40 and lost > 20


def test_a_driver_wakes_while_another_one_works(tmp_path: Any) -> None:
    """The other has committed some of its shards, and is killed after the first has ended."""
    step, slept = 0, True
    while slept:
        uri = str(tmp_path / str(step))

        def meanwhile(uri: str = uri) -> None:
            lock = RunLock(Store(uri)).__enter__()  # and never leaves
            lock._stop.set()
            folder = RunFolder(Store(uri))
            folder.open(FINGERPRINT, lock)
            committed = Committed.of(folder)
            folder.begin(committed.names)
            pending = [id_ for id_ in IDS if id_ not in committed.explained]
            if pending:
                folder.commit(*shard(pending[:3]))

        store = Sleepy(uri, step, meanwhile)
        try:
            work(store, 2)
        except RunError as error:
            assert "taken over" in str(error)
        work(Store(uri), 4)
        assert ids_of(uri) == list(IDS), step
        step, slept = step + 1, store.slept
    assert step > 40


def test_a_marker_counts_only_with_its_files(store_uri: str) -> None:
    store = Store(store_uri)
    work(store, 2)
    files = table_files(RunFolder(store))["masks"]
    store.delete(files[:1])
    store.put(files[1], b"cut")
    found = list(RunFolder(store).contents().read())
    assert [whole for _, whole in found].count(False) == 2
    lost = sorted(id_ for commit, whole in found if not whole for id_ in commit.explained)
    assert len(lost) == 4
    assert all(set(files[:2]).isdisjoint(f) for f in table_files(RunFolder(store)).values())
    assert work(store, 3) == lost
    assert ids_of(store_uri) == list(IDS)


@pytest.mark.parametrize("content", [None, b"", b'{"weights": "ab', b"[]"])
def test_a_lost_fingerprint_is_restored(store_uri: str, content: bytes | None) -> None:
    store = Store(store_uri)
    work(store, 2)
    before = store.get("_run/fingerprint.json")
    store.delete(["_run/fingerprint.json"])
    if content is not None:
        store.put("_run/fingerprint.json", content)
    assert RunFolder(store).fingerprint() == FINGERPRINT
    with pytest.raises(RequestError, match='weights: the run has "ab12"'):
        RunFolder(store).open({"weights": "cd34"})
    assert work(store, 2) == []
    assert store.get("_run/fingerprint.json") == before


def test_a_fingerprint_that_nobody_knows_can_be_overwritten(store_uri: str) -> None:
    store = Store(store_uri)
    store.put("_run/fingerprint.json", b'{"weights": "ab')
    for use in (RunFolder(store).fingerprint, lambda: RunFolder(store).open(FINGERPRINT)):
        with pytest.raises(RequestError, match="fingerprint.json is damaged.*--overwrite"):
            use()
    RunFolder(store).open(FINGERPRINT, overwrite=True)
    assert RunFolder(store).fingerprint() == FINGERPRINT


def test_of_two_commits_with_an_id_in_common_the_newer_counts(tmp_path: Any) -> None:
    """Whatever has brought them there: the leases are gone, so all markers count."""
    store = Store(str(tmp_path))
    for ids in ("ab", "bc", "de"):
        with RunLock(store) as lock:
            folder = RunFolder(store)
            folder.open(FINGERPRINT, lock)
            folder.commit(*shard(ids))
    committed = Committed.of(RunFolder(store))
    assert sorted(committed.explained) == ["b", "c", "d", "e"]
    assert work(store, 2) == ["a", "f"]
    assert ids_of(str(tmp_path)) == list(IDS)


def test_the_markers_are_listed_once_however_many_are_written(tmp_path: Any) -> None:
    listed: list[str] = []

    class Listing(Store):
        def sizes(self, folder: str) -> dict[str, int]:
            listed.append(folder)
            return super().sizes(folder)

    work(Listing(str(tmp_path)), 1)
    work(Listing(str(tmp_path)), 1)
    assert listed.count("_run/commits") == 2
    assert all(listed.count(table) == 3 for table in TABLES)  # once to see that the place is empty
