from __future__ import annotations

import errno
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.errors import RequestError, RunError
from pipeline.store import Store


@pytest.fixture
def store(store_uri: str) -> Store:
    return Store(store_uri)


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def files_below(folder: str) -> set[str]:
    return {os.path.join(path, name) for path, _, names in os.walk(folder) for name in names}


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
    fs.rm_file(f"{root}/images/a")
    assert store.list("images") == ["images/b"]
    assert not store.exists("images/a")


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


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after every few instructions, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_of_those_who_create_a_file_one_wins(store: Store, store_uri: str) -> None:
    for turn in range(30):
        winners = race_to_create(store_uri, f"_run/{turn}")
        assert len(winners) == 1
        assert store.get(f"_run/{turn}") == str(winners[0]).encode()


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_create_only_without_hard_links(
    disk: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_links(source: str, target: str) -> None:
        raise OSError(code, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    for turn in range(20):
        winners = race_to_create(disk.uri, f"a/{turn}")
        assert len(winners) == 1
        assert disk.get(f"a/{turn}") == str(winners[0]).encode()
    assert disk.list("_run/tmp") == []


def failing_write(descriptor: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def failing_second_write(descriptor: int, data: bytes, write: Any = os.write) -> int:
    if os.fstat(descriptor).st_size:
        raise OSError(errno.ENOSPC, "No space left on device")
    return int(write(descriptor, data[:3]))


def failing(*args: Any) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    ("function", "failure"),
    [
        ("write", failing_write),
        ("write", failing_second_write),
        ("replace", failing),
        ("link", failing),
    ],
)
def test_a_failed_put_publishes_nothing(
    disk: Store, monkeypatch: pytest.MonkeyPatch, function: str, failure: Any
) -> None:
    disk.put("images/a", b"before")
    before = files_below(disk.uri)
    monkeypatch.setattr(os, function, failure)
    with pytest.raises(RunError, match=f"{disk.uri}: .*(No space left|Input/output error)"):
        if function != "link":
            disk.put("images/a", b"after, and longer")
        disk.put_new("images/b", b"new, and longer")
    monkeypatch.undo()
    assert disk.get("images/a") == b"before"
    assert files_below(disk.uri) == before


def test_nothing_but_the_file_appears_in_its_folder(
    disk: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(os.listdir(f"{disk.uri}/images"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    disk.put("images/a", b"1")
    assert seen == [[], ["a"]]  # syncs the content before, the folder after publishing


def test_uri_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in ("out/", f"{tmp_path}/out", f"file://{tmp_path}/out", "~/out", "./out"):
        assert os.path.realpath(Store(uri).uri) == os.path.realpath(tmp_path / "out")
        assert os.path.isabs(Store(uri).uri)
    assert Store(f"{tmp_path}/a::b").uri == f"{tmp_path}/a::b"
    assert Store("memory://a/b/").uri == "memory://a/b"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(RequestError, match="out: is a file, expected a folder"):
        Store(str(tmp_path / "out"))
    with pytest.raises(RequestError, match="writing images/a failed .*Not a directory"):
        Store(str(tmp_path / "out" / "inside")).put("images/a", b"")


def test_a_file_in_place_of_a_folder_is_not_an_existing_name(disk: Store) -> None:
    Path(disk.uri).mkdir()
    Path(disk.uri, "_run").write_bytes(b"")
    with pytest.raises(RequestError, match="creating _run/a failed"):
        disk.put_new("_run/a", b"")


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Permissions do not stop root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    tmp_path.chmod(0o555)
    with ordinary_user(), pytest.raises(RequestError, match="Permission.*check the path"):
        store.put("a", b"")
    tmp_path.chmod(0o755)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.delitem(registry._registry, "gs", raising=False)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(RequestError, match=r'gs://a/b: .*pip install "xaipipe\[gcs\]"'):
        Store("gs://a/b")


@pytest.mark.parametrize("uri", ["nonsense://a/b", "s3://", "memory://"])
def test_a_wrong_address_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match=f"{uri}: .*expected"):
        Store(uri)


def test_an_unknown_bucket_is_refused_at_first_use(s3_server: str) -> None:
    store = Store("s3://no-such-bucket/out")
    for use in (
        lambda: store.put("a", b""),
        lambda: store.put_new("a", b""),
        lambda: store.get("a"),
        lambda: store.get_many(["a"]),
        lambda: store.list("images"),
        lambda: store.exists("a"),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(RequestError, match="no-such-bucket/out: .*bucket does not exist"):
            use()


def test_missing_credentials_are_named(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        with pytest.raises(RequestError, match="credentials"):
            Store(f"{s3_url}/out").put("a", b"")
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_store_lost_during_the_run_stops_it(s3_url: str) -> None:
    store = Store(f"{s3_url}/out")
    store.put("a", b"")
    store.delete(["a"])
    fsspec.filesystem("s3").rmdir(s3_url.removeprefix("s3://"))
    with pytest.raises(RunError, match="writing b failed .*bucket does not exist.*resume"):
        store.put("b", b"")
