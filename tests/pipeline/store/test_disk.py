"""A folder on disk: files appear whole or not at all; what cannot be a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError, RunError
from pipeline.store.store import Store
from tests.stores import race_to_create


def files_below(folder: str) -> set[str]:
    return {os.path.join(path, name) for path, _, names in os.walk(folder) for name in names}


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
