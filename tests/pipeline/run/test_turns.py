"""Calls that overlap: their turns in order, what happens outside of them, and in which threads."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from jobs.console import Console
from jobs.progress import progress
from pipeline import Progress
from pipeline.images.loading import decoded
from pipeline.run.actor import Actor
from pipeline.run.turns import Turns
from pipeline.run.worker import ShardWorker
from pipeline.tables.shard import Shard
from tests.shards import refs_of, spec_of, tables

PATIENCE = 60.0  # seconds until a test that hangs fails


def actor_of(make):
    """An actor with its worker, as the scheduler begins with it but without Ray."""
    actor = Actor()
    actor.turns = Turns()
    actor.ready(make, "w", {})
    return actor


def test_turns_are_taken_by_number_whatever_the_order_of_arrival():
    turns, taken, inside = Turns(), [], []

    def call(number):
        with turns.of(number):
            inside.append(number)
            assert inside == [number]
            taken.append(number)
            inside.remove(number)

    with ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(call, number) for number in (3, 1, 4, 0, 2)]:
            done.result(PATIENCE)
    assert taken == [0, 1, 2, 3, 4]


class Recorded:
    """A worker that does as it is told: `before`, `in` its turn, `after`."""

    notes = ("new here",)

    def __init__(self, name):
        self.events = []
        self.go_on = {}

    def __call__(self, shard, turn):
        self._do(shard.salt, "before")
        with turn:
            self._do(shard.salt, "in")
        self._do(shard.salt, "after")
        return shard.salt

    def _do(self, shard, part):
        self.events.append(f"{shard} {part}")
        if (shard, part) in self.go_on:
            error = self.go_on[shard, part]
            if isinstance(error, Exception):
                raise error
            assert error.wait(PATIENCE)


def wait_for(events, wanted):
    ticking = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if set(wanted) <= set(events):
            return
        ticking.wait(0.01)
    raise AssertionError(f"{events} instead of {wanted}")


def test_the_next_shard_begins_in_a_shards_turn_and_has_its_turn_while_that_one_ends():
    actor = actor_of(Recorded)
    assert actor.worker.notes == ("new here",)
    worker = actor.worker
    working, encoding = threading.Event(), threading.Event()
    worker.go_on = {("a", "in"): working, ("a", "after"): encoding}
    with ThreadPoolExecutor(2) as pool:
        b = pool.submit(actor.explain, Shard((), "b"), 1)  # Ray may well start it first
        wait_for(worker.events, ["b before"])
        a = pool.submit(actor.explain, Shard((), "a"), 0)
        wait_for(worker.events, ["b before", "a in"])
        assert "b in" not in worker.events
        working.set()
        assert b.result(PATIENCE) == "b"  # while the tables of a are still being encoded
        assert not a.done()
        encoding.set()
        assert a.result(PATIENCE) == "a"


@pytest.mark.parametrize("part", ["before", "in", "after"])
def test_a_call_that_raises_holds_nobody_up(part):
    actor = actor_of(Recorded)
    actor.worker.go_on = {("a", part): RuntimeError("no")}
    with ThreadPoolExecutor(2) as pool:
        b = pool.submit(actor.explain, Shard((), "b"), 1)
        with pytest.raises(RuntimeError, match="no"):
            actor.explain(Shard((), "a"), 0)
        assert b.result(PATIENCE) == "b"
        assert pool.submit(actor.explain, Shard((), "c"), 2).result(PATIENCE) == "c"


def test_overlapping_calls_give_the_tables_of_calls_one_after_the_other(dataset):
    refs = refs_of(dataset)
    shards = [Shard((ref,)) for ref in refs] + [Shard(refs), Shard(refs[1:])]
    alone = [tables(ShardWorker(spec_of(dataset))(shard)) for shard in shards]
    actor = actor_of(lambda name: ShardWorker(spec_of(dataset), name))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(actor.explain, shard, n) for n, shard in enumerate(shards)]
        assert [tables(call.result(PATIENCE)) for call in calls] == alone


def test_the_next_shards_images_are_decoded_before_its_turn(dataset, monkeypatch):
    refs = refs_of(dataset)
    loaded = threading.Event()

    def decode(*given):
        loaded.set()
        return decoded(*given)

    monkeypatch.setattr("pipeline.run.worker.decoded", decode)
    actor = actor_of(lambda name: ShardWorker(spec_of(dataset), name))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(actor.explain, Shard(refs[1:]), 1)
        assert loaded.wait(PATIENCE) and not second.done()
        actor.explain(Shard(refs[:1]), 0)
        assert second.result(PATIENCE).commit.rows["images"] == 3


def test_cpu_workers_compute_with_their_threads_in_every_thread(dataset):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        worker = ShardWorker(spec_of(dataset))
        seen = []
        inner = worker.classifier.module.module.forward

        def forward(image):
            seen.append(torch.get_num_threads())
            return inner(image)

        worker.classifier.module.module.forward = forward
        thread = threading.Thread(target=worker, args=(Shard(refs_of(dataset)[:1]),))
        thread.start()
        thread.join(PATIENCE)
        assert set(seen) == {1}
        assert worker.encoders.submit(torch.get_num_threads).result(PATIENCE) == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_workers_say_is_printed_once(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    counts = {"images": 2, "done_before": 0, "failed": 0, "seconds": 1.0}
    with progress(console) as report:
        for explained, notes in enumerate([(), ("no [compiler]",), ("no [compiler]", "more")]):
            report(Progress(**counts, explained=explained, notes=notes))
            report(Progress(**counts, explained=explained, notes=notes))
    printed = console.file.getvalue()
    assert printed.count("workers: no [compiler]") == 1
    assert printed.count("workers: more") == 1
