"""Stores of every kind: files that are put, read, listed and deleted; addresses."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import RequestError
from pipeline.store.store import Store
from tests.stores import race_to_create


def test_what_was_put_is_read_back_by_anyone(store: Store, store_uri: str) -> None:
    for content in (b"", b"\x00\xff" * 1000, b"shorter"):
        store.put("images/s-1.parquet", content)
        assert Store(store_uri).get("images/s-1.parquet") == content
        with fsspec.open(f"{store_uri}/images/s-1.parquet") as file:
            assert file.read() == content


def test_put_new_never_replaces(store: Store) -> None:
    store.put_new("_run/a.json", b"first")
    with pytest.raises(FileExistsError):
        store.put_new("_run/a.json", b"second")
    assert store.get("_run/a.json") == b"first"
    store.delete(["_run/a.json"])
    store.put_new("_run/a.json", b"third")
    assert store.get("_run/a.json") == b"third"


def test_put_new_may_be_repeated(store: Store) -> None:
    """By a client whose answer was lost: what lies there is its own."""
    for _ in range(2):
        store.put_new("_run/a.json", b"mine")
    with pytest.raises(FileExistsError):
        store.put_new("_run/a.json", b"another's")
    assert store.get("_run/a.json") == b"mine"


def test_missing_files(store: Store) -> None:
    store.put("a", b"1")
    for name in ("b", "folder/b"):
        with pytest.raises(FileNotFoundError):
            store.get(name)
        assert not store.exists(name)
    assert store.exists("a")
    assert store.get_many(["b", "a", "folder/b"]) == {"a": b"1"}
    store.delete(["b", "folder/b", "a"])
    assert not store.exists("a")


def test_a_folder_is_not_a_file(store: Store) -> None:
    store.put("images/a", b"1")
    assert not store.exists("images")


def test_get_many_and_delete_more_than_one_request_at_a_time(store: Store) -> None:
    contents = {f"f/{i}": str(i).encode() for i in range(100)}
    for name, content in contents.items():
        store.put(name, content)
    assert store.get_many(list(contents)) == contents
    store.delete(list(contents)[1:])
    assert store.list("f") == ["f/0"]


def test_names_are_no_patterns(store: Store) -> None:
    names = ["f/a*", "f/a[1]", "f/a1", "f/ab", "f/a#?x=%20"]
    for name in names:
        store.put(name, name.encode())
    assert store.get_many(names) == {name: name.encode() for name in names}
    store.delete(["f/a*", "f/a[1]"])
    assert store.list("f") == sorted(["f/a1", "f/ab", "f/a#?x=%20"])


def test_list_holds_the_files_of_one_folder_sorted(store: Store) -> None:
    assert store.list("images") == []
    for name in ("top", "images/b", "images/a", "images/.hidden", "images/sub/c", "imagesque/d"):
        store.put(name, b"")
    assert store.list("images") == ["images/a", "images/b"]
    assert store.list("images/sub") == ["images/sub/c"]
    assert store.list("") == ["top"]


def test_listing_sees_what_others_do(store: Store, store_uri: str) -> None:
    fs, root = fsspec.url_to_fs(store_uri)
    store.put("images/a", b"")
    assert store.list("images") == ["images/a"]
    fs.pipe_file(f"{root}/images/b", b"")
    assert store.list("images") == ["images/a", "images/b"]
    assert store.exists("images/b")
    with contextlib.suppress(FileNotFoundError):  # asked twice
        fs.rm_file(f"{root}/images/a")
    assert store.list("images") == ["images/b"]
    assert not store.exists("images/a")


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after every few instructions, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_of_those_who_create_a_file_one_wins(store: Store, store_uri: str) -> None:
    for turn in range(10 if "s3:" in store_uri else 30):
        winners = race_to_create(store_uri, f"_run/{turn}")
        assert len(winners) == 1
        assert store.get(f"_run/{turn}") == str(winners[0]).encode()


def test_uri_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in ("out/", f"{tmp_path}/out", f"file://{tmp_path}/out", "~/out", "./out"):
        assert os.path.realpath(Store(uri).uri) == os.path.realpath(tmp_path / "out")
        assert os.path.isabs(Store(uri).uri)
    assert Store(f"{tmp_path}/a::b").uri == f"{tmp_path}/a::b"
    assert Store("memory://a/b/").uri == "memory://a/b"


@pytest.mark.parametrize("uri", ["nonsense://a/b", "s3://", "memory://"])
def test_a_wrong_address_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match=f"{uri}: .*expected"):
        Store(uri)
