"""What a run says of itself while it goes on."""

from types import SimpleNamespace

import pytest

from pipeline.run import Plan
from pipeline.run.tally import Tally

PLAN = Plan(
    images=100, done=10, failed=0, pending=90, shards=9, shard_size=10, workers=2, device="cpu"
)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(time=1000.0)
    monkeypatch.setattr("pipeline.run.tally.time.monotonic", lambda: now.time)
    return now


def result(explained, failed=0, notes=()):
    ids = [str(n) for n in range(explained + failed)]
    commit = SimpleNamespace(explained=ids[:explained], failed=ids[explained:])
    return SimpleNamespace(commit=commit, notes=notes)


def test_the_rate_does_not_count_the_start(clock):
    tally = Tally(PLAN, 2, started=clock.time)
    clock.time += 30
    assert (tally.progress().ready, tally.progress().images_per_s) == (0, None)
    tally.begin(("a note",))
    clock.time += 10
    tally.begin(("a note",))
    tally.add(result(10))
    first = tally.progress()
    assert (first.ready, first.notes, first.images_per_s) == (2, ("a note",), 1.0)
    clock.time += 4
    tally.add(result(18, 2, ("a note", "a later one")))
    clock.time += 100  # nothing more has come: the rate is that of what came
    later = tally.progress()
    assert (later.explained, later.failed, later.images_per_s) == (28, 2, 5.0)
    assert later.notes == ("a note", "a later one")
    assert (later.done_before, later.seconds) == (10, 144.0)


def test_a_replaced_worker_is_no_further_one(clock):
    tally = Tally(PLAN, 2)
    for _ in range(3):
        tally.begin(())
    assert tally.progress().ready == 2
