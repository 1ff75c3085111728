"""Any interleaving of crashes, takeovers, late wakings and resumes ends with every id once.

The drivers are real from the lock to the summary; only classifier and manifest are not. Nobody
counts as alive, so that each can be taken over from at any moment, as if it had been stopped for
longer than its heartbeat allows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from fsspec.core import url_to_fs
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RunError
from pipeline.run import Status
from pipeline.store import TABLES, Committed, RunFolder, RunLock
from pipeline.store.store import Store
from pipeline.tables import RunTables
from tests.puppets import Killed, Puppet, fails
from tests.stores import table_files

IMAGES = 7
IDS = [f"image-{n}" for n in range(IMAGES)]
GOOD = [id_ for id_ in IDS if not fails(id_)]
BAD = [id_ for id_ in IDS if fails(id_)]

sizes = st.sampled_from([1, 2, 3, 7])
steps = st.one_of(st.integers(1, 8), st.integers(1, 60))
which = st.integers(0, 5)
actions = st.one_of(
    st.tuples(st.just("start"), sizes, steps),
    st.tuples(st.just("step"), which, steps),
    st.tuples(st.just("kill"), which, st.just(0)),
    st.tuples(st.just("lose"), st.integers(0, 30), st.just(0)),
)


@pytest.fixture(autouse=True, scope="module")
def nobody_is_alive() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLock, "_is_alive", lambda self, name, record: False)
        yield


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(actions, min_size=2, max_size=12))
def test_every_id_ends_once(plan: list[tuple[str, int, int]]) -> None:
    uri = f"memory://{uuid.uuid4().hex}/out"
    puppets: list[Puppet] = []
    for action, number, count in plan:
        if action == "start" and len(puppets) < 4:
            puppets.append(Puppet(uri, IMAGES, shard_size=number))
            puppets[-1].step(count)
        elif action == "step" and puppets:
            puppets[number % len(puppets)].step(count)
        elif action == "kill" and puppets:
            puppets[number % len(puppets)].kill()
        elif action == "lose":
            lose_a_file(uri, number)
    try:
        last = undisturbed(uri, 2)
        assert_each_once(uri)
    finally:
        for puppet in puppets:  # those that were stopped wake up and find another one has finished
            puppet.finish()
    for puppet in puppets:
        assert puppet.error is None or isinstance(puppet.error, Killed | RunError), puppet.error
    assert_each_once(uri)
    if any(isinstance(puppet.error, RunError) for puppet in puppets):
        assert "taken over" in str(next(p.error for p in puppets if isinstance(p.error, RunError)))
    again = undisturbed(uri, 3)
    assert not last.error and not again.error
    assert again.request.plan(Committed.of(RunFolder(Store(uri)))).pending == 0
    assert_each_once(uri)
    assert_nothing_else_lies_there(uri)


def undisturbed(uri: str, size: int) -> Puppet:
    """A driver that nobody stops."""
    puppet = Puppet(uri, IMAGES, shard_size=size)
    puppet.finish()
    assert puppet.error is None, puppet.error
    return puppet


def lose_a_file(uri: str, number: int) -> None:
    """Someone deletes a committed table file."""
    files = sorted(f for found in table_files(RunFolder(Store(uri))).values() for f in found)
    if files:
        Store(uri).delete([files[number % len(files)]])


def rows(uri: str) -> dict[str, list[dict[str, object]]]:
    """The tables as they are read, in order."""
    reader = RunTables(uri)
    found = {table: getattr(reader, table).to_table().to_pylist() for table in TABLES}
    return {t: sorted(rows, key=lambda r: (r["id"], r.get("area", 0))) for t, rows in found.items()}


def assert_each_once(uri: str) -> None:
    found = rows(uri)
    assert [row["id"] for row in found["images"]] == GOOD
    assert [row["id"] for row in found["explanations"]] == GOOD
    assert [row["id"] for row in found["masks"]] == [id_ for id_ in GOOD for _ in range(2)]
    assert {row["id"] for row in found["failures"]} == set(BAD)
    assert found["images"] == rows(whole())["images"]
    assert found["masks"] == rows(whole())["masks"]
    status = Status.of(RunFolder(Store(uri)))
    assert (status.explained, status.failed, status.lost) == (len(GOOD), len(BAD), 0)
    committed = Committed.of(RunFolder(Store(uri)))
    assert (sorted(committed.explained), sorted(committed.failed)) == (GOOD, BAD)


def whole() -> str:
    """A run that nobody has disturbed."""
    uri = "memory://interleavings/whole"
    if RunFolder(Store(uri)).fingerprint() is None:
        undisturbed(uri, IMAGES)
    return uri


def assert_nothing_else_lies_there(uri: str) -> None:
    """The folder of a table, read as it is, has the same rows."""
    fs, root = url_to_fs(uri)
    for table, wanted in rows(uri).items():
        files = fs.glob(f"{root}/{table}/*")
        ids = [i for file in files for i in pq.read_table(fs.open(file))["id"].to_pylist()]
        assert sorted(ids) == [row["id"] for row in wanted], table
    assert len(fs.glob(f"{root}/_run/leases/*")) == len(fs.glob(f"{root}/_run/lock/*")) == 1


def test_a_driver_may_be_taken_over_from_at_any_step() -> None:
    """Every step at which it can sleep, and every one at which the other can be killed then."""
    first, ended = 0, False
    while not ended:
        second, over = 0, False
        while not over:
            uri = f"memory://{uuid.uuid4().hex}/out"
            sleeper = Puppet(uri, IMAGES, shard_size=3)
            sleeper.step(first)
            ended = sleeper.ended
            other = Puppet(uri, IMAGES, shard_size=2)
            other.step(second)
            over = other.ended
            sleeper.finish()
            other.kill()
            undisturbed(uri, 7)
            assert_each_once(uri)
            second += 9
        first += 7
    assert first > 30
