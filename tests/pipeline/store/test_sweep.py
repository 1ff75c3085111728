"""Drivers killed anywhere in a commit: what no marker vouches for is swept, and nothing else."""

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

from pipeline.store import TABLES, RunFolder, shard_name
from pipeline.store.store import Store
from tests.commits import COMMIT, CONTENT, FINGERPRINT, SHARD, everything
from tests.stores import table_files
from tests.variants import variants

ROOT = Path(__file__).parents[3]


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


if __name__ == "__main__":
    print(kill_children(sys.argv[1]))
