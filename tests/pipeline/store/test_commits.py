"""Commits: written tables first, read back whole, and never changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import RunError
from pipeline.store import TABLES, Commit, RunFolder, shard_name
from pipeline.store.store import Store
from tests.commits import COMMIT, CONTENT, FINGERPRINT, SHARD, everything
from tests.stores import Repeating, table_files

NAME = f"{SHARD}-000000"  # of the files of a folder that no lease was begun in
MARKER = f"_run/commits/{NAME}.json"


def of(tables: dict[str, bytes], **changes: Any) -> Commit:
    """A commit whose marker names these tables."""
    sizes = {table: len(data) for table, data in tables.items()}
    return replace(COMMIT, **{"bytes": sizes, **changes})


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
