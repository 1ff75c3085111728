"""A run's folder: opened, overwritten or refused; its plans and its summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.store import RunFolder
from pipeline.store.store import Store
from tests.commits import COMMIT, CONTENT, FINGERPRINT, everything
from tests.stores import table_files


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
