from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.errors import RequestError, RunError
from pipeline.store import TABLES, Commit, RunFolder, shard_name
from pipeline.store.store import Store
from tests.stores import Repeating, table_files
from tests.variants import variants

ROOT = Path(__file__).parents[3]
IDS = ("a", "b", "ü/c")
SHARD = shard_name(IDS)
NAME = f"{SHARD}-000000"  # of the files of a folder that no lease was begun in
MARKER = f"_run/commits/{NAME}.json"
CONTENT = {table: table.encode() * 50 for table in TABLES}
COMMIT = Commit(
    shard=SHARD,
    explained=IDS[:2],
    failed=IDS[2:],
    rows={"images": 2, "failures": 1},
    bytes={table: len(content) for table, content in CONTENT.items()},
    seconds=1.5,
    finished=1e9,
    worker="node-1/0",
)
FINGERPRINT: dict[str, Any] = {
    "method": {"name": "inr", "restarts": 1, "areas": (0.1, 0.2)},
    "weights": "ab12",
    "schema": 1,
}


@pytest.fixture
def store(store_uri: str) -> Store:
    return Store(store_uri)


@pytest.fixture
def folder(store: Store) -> RunFolder:
    return RunFolder(store)


def of(tables: dict[str, bytes], **changes: Any) -> Commit:
    """A commit whose marker names these tables."""
    sizes = {table: len(data) for table, data in tables.items()}
    return replace(COMMIT, **{"bytes": sizes, **changes})


def take_over(uri: str) -> tuple[RunFolder, list[str]]:
    """A further driver's folder, begun on what counts, and what it has deleted."""
    folder = RunFolder(Store(uri))
    folder.open(FINGERPRINT)
    contents = folder.contents()
    folder.begin({commit.name for commit in contents.commits()})
    return folder, folder.sweep(contents)


def tables_and_markers(uri: str) -> dict[str, bytes]:
    """`everything` but what a lease and the fingerprint say."""
    return {
        name: data
        for name, data in everything(uri).items()
        if not name.startswith(("_run/leases/", "_run/fingerprint"))
    }


def everything(uri: str) -> dict[str, bytes]:
    """All files below `uri` as another program sees them."""
    fs, root = fsspec.url_to_fs(uri, use_listings_cache=False)
    return {path[len(root) + 1 :]: fs.cat_file(path) for path in fs.find(root)}


def test_commit_is_read_back(folder: RunFolder, store_uri: str) -> None:
    assert list(folder.commits()) == []
    folder.commit(CONTENT, COMMIT)
    again = RunFolder(Store(store_uri))
    assert list(again.commits()) == [COMMIT]
    assert table_files(again) == {t: [f"{t}/{NAME}.parquet"] for t in TABLES}
    files = everything(store_uri)
    assert files.keys() == {MARKER, *(f"{table}/{NAME}.parquet" for table in TABLES)}
    assert all(files[f"{table}/{NAME}.parquet"] == CONTENT[table] for table in TABLES)


def test_absent_tables_have_no_file(folder: RunFolder, store_uri: str) -> None:
    folder.commit({"failures": b"1"}, of({"failures": b"1"}))
    assert everything(store_uri).keys() == {MARKER, f"failures/{NAME}.parquet"}
    assert table_files(folder)["images"] == []


def test_commits_in_several_batches(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.contents.BATCH", 3)
    expected = [of({}, shard=f"s-{i:016x}", explained=(str(i),)) for i in range(7)]
    for commit in reversed(expected):
        folder.commit({}, commit)
    assert list(folder.commits()) == expected


def test_committing_again_changes_nothing(folder: RunFolder, store_uri: str) -> None:
    folder.commit(CONTENT, COMMIT)
    before = everything(store_uri)
    later = replace(COMMIT, finished=2e9, worker="node-2/0")
    folder.commit({table: b"another attempt" for table in TABLES}, later)
    assert everything(store_uri) == before


def test_a_repeated_request_is_no_error(store_uri: str) -> None:
    folder = RunFolder(Repeating(store_uri))
    folder.open(FINGERPRINT)
    folder.begin([])
    folder.commit(CONTENT, COMMIT)
    assert list(folder.commits()) == [replace(COMMIT, lease=1)]


def test_a_marker_is_written_after_its_tables(store_uri: str) -> None:
    written: list[str] = []

    class Recording(Store):
        def put(self, name: str, data: bytes) -> None:
            written.append(name)
            super().put(name, data)

        def put_new(self, name: str, data: bytes) -> None:
            written.append(name)
            super().put_new(name, data)

    RunFolder(Recording(store_uri)).commit(CONTENT, COMMIT)
    order = ("failures", "masks", "explanations", "images")
    assert written == [*(f"{table}/{NAME}.parquet" for table in order), MARKER]


def test_sweep_deletes_what_no_marker_vouches_for(store: Store) -> None:
    folder, _ = take_over(store.uri)
    folder.commit(CONTENT, COMMIT)
    before = tables_and_markers(store.uri)
    stray = shard_name(["z"])
    strays = [f"images/{stray}.parquet", f"masks/{stray}-000000.parquet", "_run/tmp/0123"]
    for name in strays:
        store.put(name, b"x")
    assert table_files(folder)["images"] == [f"images/{SHARD}-000001.parquet"]
    assert sorted(take_over(store.uri)[1]) == sorted(strays)
    assert tables_and_markers(store.uri) == before
    assert take_over(store.uri)[1] == []
    assert list(folder.commits()) == [replace(COMMIT, lease=1)]


def test_sweep_spares_files_of_the_user(store: Store, folder: RunFolder) -> None:
    folder.open(FINGERPRINT)
    store.put("images/mine.parquet", b"x")
    assert take_over(store.uri)[1] == []
    assert store.exists("images/mine.parquet")
    assert table_files(folder)["images"] == []


@pytest.mark.parametrize("kind", variants(["disk", "s3"]))
def test_killed_anywhere_then_swept_and_committed_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = str(tmp_path) if kind == "disk" else request.getfixturevalue("s3_url")
    take_over(f"{base}/undisturbed")[0].commit(CONTENT, COMMIT)
    expected = tables_and_markers(f"{base}/undisturbed")
    steps = kill_at_each_step(base)
    # Before and after each of five files; on disk also within each, at least at write and sync.
    assert steps >= (20 if kind == "disk" else 10)
    outcomes = set()
    for step in range(steps):
        uri = f"{base}/{step}"
        folder = RunFolder(Store(uri))
        done = f"_run/commits/{SHARD}-000001.json" in everything(uri)
        outcomes.add(done)
        assert list(folder.commits()) == ([replace(COMMIT, lease=1)] if done else [])
        assert [files != [] for files in table_files(folder).values()] == [done] * len(TABLES)
        again, _ = take_over(uri)
        assert tables_and_markers(uri) == (expected if done else {})
        if not done:
            again.commit(CONTENT, COMMIT)
        (commit,) = again.commits()
        assert replace(commit, lease=0) == COMMIT
        assert set(everything(uri).values()) >= set(CONTENT.values())
    assert outcomes == {True, False}


def kill_at_each_step(base: str) -> int:
    """Commits to `base/0`, `base/1`, ..., killed one step later each time; returns how many."""
    done = subprocess.run(
        [sys.executable, __file__, base],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return int(done.stdout)


def commit_until(base: str, last: int) -> None:
    """Commits to `base/last`; this process kills itself at step `last`, if there are as many."""
    step = -1

    def tick() -> None:
        nonlocal step
        step += 1
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    class Mortal(Store):
        def put(self, name: str, data: bytes) -> None:
            tick()
            super().put(name, data)
            tick()

        def put_new(self, name: str, data: bytes) -> None:
            tick()
            super().put_new(name, data)
            tick()

    if "://" not in base:
        make_disk_mortal(tick)
    folder = RunFolder(Mortal(f"{base}/{last}"))
    folder.open(FINGERPRINT)
    folder.begin([])
    folder.commit(CONTENT, COMMIT)


def make_disk_mortal(tick: Callable[[], None]) -> None:
    """Lets `tick` run before each part of a write, and before syncing, renaming and so on."""

    def after_tick(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            tick()
            return function(*args)

        return call

    write = os.write
    os.write = after_tick(lambda descriptor, data: write(descriptor, data[:250]))
    for name in ("fsync", "replace", "link", "unlink"):
        setattr(os, name, after_tick(getattr(os, name)))


def kill_children(base: str) -> int:
    """Forks one committing child per step until one survives."""
    if "://" in base:
        import s3fs  # noqa: F401  # once, not in each child
    last = 0
    while True:
        child = os.fork()
        if child == 0:
            commit_until(base, last)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            return last
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        last += 1


def test_open_again_with_the_same_fingerprint(folder: RunFolder, store_uri: str) -> None:
    assert folder.fingerprint() is None
    folder.open(FINGERPRINT)
    folder.commit(CONTENT, COMMIT)
    before = everything(store_uri)
    RunFolder(Store(store_uri)).open(FINGERPRINT)
    assert everything(store_uri) == before
    method = {**FINGERPRINT["method"], "areas": [0.1, 0.2]}  # as JSON gives it back
    assert folder.fingerprint() == {**FINGERPRINT, "method": method}


def test_open_names_each_field_that_differs(folder: RunFolder, store_uri: str) -> None:
    folder.open(FINGERPRINT)
    asked = {
        "method": {"name": "inr", "restarts": 2, "areas": (0.1,), "rounds": 3},
        "weights": "ab12",
    }
    with pytest.raises(RequestError) as refused:
        folder.open(asked)
    message = str(refused.value)
    assert store_uri in message
    for line in (
        "method.restarts: the run has 1, you asked for 2",
        "method.areas: the run has [0.1, 0.2], you asked for [0.1]",
        "method.rounds: the run has nothing, you asked for 3",
        "schema: the run has 1, you asked for nothing",
    ):
        assert line in message
    assert "weights" not in message and "name:" not in message
    assert "--out" in message and "--overwrite" in message


def test_overwrite_discards_the_run_but_its_lock(store: Store, folder: RunFolder) -> None:
    folder.open(FINGERPRINT)
    folder.begin([])
    folder.commit(CONTENT, COMMIT)
    folder.write_plan({"ids": ["a"]})
    folder.write_summary({"explained": 2})
    store.put("_run/lock/000001.json", b"{}")
    store.put("images/mine.parquet", b"of the user")
    for derived in ("metrics", "regions", "patterns", "certificates", "reviews"):
        store.put(f"{derived}/a.parquet", b"of the run")
    again = RunFolder(store)
    overwrite(again)
    assert everything(store.uri).keys() == {
        "_run/fingerprint.json",
        "_run/leases/000002.json",
        "_run/lock/000001.json",
        "images/mine.parquet",
    }
    assert folder.fingerprint() == {"schema": 2}
    assert list(folder.commits()) == [] and folder.plans() == [] and folder.summary() is None


class Interrupted(Store):
    """A store whose owner is interrupted at the n-th change."""

    changes_left = 0

    def _change(self) -> None:
        if self.changes_left == 0:
            raise KeyboardInterrupt
        self.changes_left -= 1

    def put(self, name: str, data: bytes) -> None:
        self._change()
        super().put(name, data)

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self._change()
            super().delete([name])


def test_an_interrupted_overwrite_can_be_repeated(tmp_path: Path) -> None:
    uri, step, finished = str(tmp_path / "out"), 0, False
    while not finished:
        folder = RunFolder(Store(uri))
        folder.open(FINGERPRINT, overwrite=True)
        folder.begin([])
        folder.commit(CONTENT, COMMIT)
        folder.write_plan({})
        store = Interrupted(uri)
        store.changes_left = step
        try:
            overwrite(RunFolder(store))
            finished = True
        except KeyboardInterrupt:
            pass
        for commit in folder.commits():  # what is still committed is still complete
            assert sum(map(len, table_files(folder).values())) == len(commit.bytes)
        assert folder.fingerprint() is not None
        step += 1
    assert step > 6  # the lease, the plan, the marker, four tables, the fingerprint


def overwrite(folder: RunFolder) -> None:
    """What a driver does with --overwrite before it works."""
    folder.open({"schema": 2}, overwrite=True)
    folder.begin([])
    folder.sweep(folder.contents())


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["images/s-1.parquet", "images/cat.jpg", "masks/a.parquet"])
def test_tables_without_a_run_are_refused(
    store: Store, folder: RunFolder, name: str, overwrite: bool
) -> None:
    store.put(name, b"x")
    with pytest.raises(RequestError, match=f"holds {name}, but no run"):
        folder.open(FINGERPRINT, overwrite=overwrite)
    assert everything(store.uri) == {name: b"x"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_things_may_hold_a_run(
    store: Store, folder: RunFolder, overwrite: bool
) -> None:
    store.put("manifest.csv", b"image\n")
    folder.open(FINGERPRINT, overwrite=overwrite)
    assert everything(store.uri).keys() == {"manifest.csv", "_run/fingerprint.json"}


def test_plans_are_numbered(folder: RunFolder) -> None:
    assert folder.plans() == []
    names = [folder.write_plan({"ids": [str(i)]}) for i in range(11)]
    assert names == [f"_run/plans/{i:04d}.json" for i in range(1, 12)]
    assert folder.plans() == [{"ids": [str(i)]} for i in range(11)]


def test_summary_is_replaced(folder: RunFolder) -> None:
    assert folder.summary() is None
    folder.write_summary({"explained": 1})
    folder.write_summary({"explained": 2})
    assert folder.summary() == {"explained": 2}


@pytest.mark.parametrize("content", [b"", b'{"shard": "s-', b"[]", b'{"shard": "s-1"}'])
def test_a_damaged_marker_is_named(store: Store, folder: RunFolder, content: bytes) -> None:
    store.put(MARKER, content)
    with pytest.raises(RunError, match=f"{MARKER} is damaged.*Delete it"):
        list(folder.commits())


def test_shard_names() -> None:
    name = shard_name(["a", "b"])
    assert len(name) == 18 and name.startswith("s-") and int(name[2:], 16) >= 0
    assert name == "s-b0a559971b11543e"  # must never change: runs are resumed by it
    others = [["b", "a"], ["a"], ["ab"], ["a,b"], ["a\nb"], ["a", "b", ""], []]
    names = {shard_name(ids) for ids in others} | {shard_name(["a", "b"], salt="1")}
    assert len(names) == len(others) + 1 and name not in names
    assert shard_name(["b"], salt="a") != shard_name(["a", "b"])


if __name__ == "__main__":
    print(kill_children(sys.argv[1]))
