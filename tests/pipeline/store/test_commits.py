"""Commits: whole or not at all, wherever a driver is killed, and only once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RunError
from pipeline.store import TABLES, RunFolder, shard_name
from pipeline.store.store import Store
from tests.commits import COMMIT, CONTENT, FINGERPRINT, IDS, MARKER, SHARD, everything
from tests.stores import Repeating

ROOT = Path(__file__).parents[3]


def test_commit_is_read_back(folder: RunFolder, store_uri: str) -> None:
    assert list(folder.commits()) == []
    folder.commit(SHARD, CONTENT, COMMIT)
    again = RunFolder(Store(store_uri))
    assert list(again.commits()) == [COMMIT]
    assert {t: again.table_files(t) for t in TABLES} == {
        t: [f"{t}/{SHARD}.parquet"] for t in TABLES
    }
    files = everything(store_uri)
    assert files.keys() == {MARKER, *(f"{table}/{SHARD}.parquet" for table in TABLES)}
    assert all(files[f"{table}/{SHARD}.parquet"] == CONTENT[table] for table in TABLES)


def test_absent_tables_have_no_file(folder: RunFolder, store_uri: str) -> None:
    folder.commit(SHARD, {"failures": b"1"}, COMMIT)
    assert everything(store_uri).keys() == {MARKER, f"failures/{SHARD}.parquet"}
    assert folder.table_files("images") == []


def test_commits_in_several_batches(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.folder.BATCH", 3)
    expected = [replace(COMMIT, shard=f"s-{i:016x}", explained=(str(i),)) for i in range(7)]
    for commit in reversed(expected):
        folder.commit(commit.shard, {}, commit)
    assert list(folder.commits()) == expected


def test_committing_again_changes_nothing(folder: RunFolder, store_uri: str) -> None:
    folder.commit(SHARD, CONTENT, COMMIT)
    before = everything(store_uri)
    later = replace(COMMIT, finished=2e9, worker="node-2/0")
    folder.commit(SHARD, {table: b"another attempt" for table in TABLES}, later)
    assert everything(store_uri) == before


def test_committing_other_images_under_the_name_is_an_error(
    folder: RunFolder, store_uri: str
) -> None:
    folder.commit(SHARD, CONTENT, COMMIT)
    before = everything(store_uri)
    for other in (
        replace(COMMIT, explained=("a", "x")),
        replace(COMMIT, explained=IDS, failed=()),
    ):
        with pytest.raises(RunError, match=f"{SHARD}.json exists with other images"):
            folder.commit(SHARD, {"images": b"other"}, other)
    assert everything(store_uri) == before


def test_a_marker_is_created_once(store_uri: str) -> None:
    other = replace(COMMIT, explained=("x",), failed=())

    class Late(Store):
        """A store whose owner sleeps before its first table, while another driver commits."""

        def put(self, name: str, data: bytes) -> None:
            RunFolder(Store(store_uri)).commit(SHARD, {}, other)
            super().put(name, data)

    with pytest.raises(RunError, match="exists with other images"):
        RunFolder(Late(store_uri)).commit(SHARD, {"images": b"1"}, COMMIT)
    assert list(RunFolder(Store(store_uri)).commits()) == [other]


def test_a_repeated_request_is_no_error(store_uri: str) -> None:
    folder = RunFolder(Repeating(store_uri))
    folder.open(FINGERPRINT)
    folder.commit(SHARD, CONTENT, COMMIT)
    assert list(folder.commits()) == [COMMIT]


def test_a_marker_is_written_after_its_tables(store_uri: str) -> None:
    written: list[str] = []

    class Recording(Store):
        def put(self, name: str, data: bytes) -> None:
            written.append(name)
            super().put(name, data)

        def put_new(self, name: str, data: bytes) -> None:
            written.append(name)
            super().put_new(name, data)

    RunFolder(Recording(store_uri)).commit(SHARD, CONTENT, COMMIT)
    order = ("failures", "masks", "explanations", "images")
    assert written == [*(f"{table}/{SHARD}.parquet" for table in order), MARKER]


@pytest.mark.parametrize("kind", ["disk", "s3"])
def test_killed_anywhere_then_swept_and_committed_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = str(tmp_path) if kind == "disk" else request.getfixturevalue("s3_url")
    RunFolder(Store(f"{base}/undisturbed")).commit(SHARD, CONTENT, COMMIT)
    expected = everything(f"{base}/undisturbed")
    steps = kill_at_each_step(base)
    # Before and after each of five files; on disk also within each, at least at write and sync.
    assert steps >= (20 if kind == "disk" else 10)
    outcomes = set()
    for step in range(steps):
        uri = f"{base}/{step}"
        folder = RunFolder(Store(uri))
        done = MARKER in everything(uri)
        outcomes.add(done)
        assert list(folder.commits()) == ([COMMIT] if done else [])
        assert [folder.table_files(table) != [] for table in TABLES] == [done] * len(TABLES)
        folder.sweep()
        assert everything(uri) == (expected if done else {})
        folder.commit(SHARD, CONTENT, COMMIT)
        assert everything(uri) == expected
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
    RunFolder(Mortal(f"{base}/{last}")).commit(SHARD, CONTENT, COMMIT)


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
