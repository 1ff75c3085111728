"""Nodes that go, come and die while a run goes on, and a run that waits for one."""

import os

import pytest
import ray

from pipeline import RunError
from pipeline.run import Workers
from pipeline.run.cluster import ray_for
from pipeline.run.scheduler import run_on_ray
from tests.clusters import cluster, drain
from tests.shards import ones


def sleepy(name):
    """A worker that takes half a second for an image, and says on which node it is."""
    import time
    from contextlib import nullcontext
    from dataclasses import replace

    import ray

    from pipeline.benchmark.sleeper import Sleeper

    class Sleepy(Sleeper):
        def __call__(self, shard, turn=None):
            with turn or nullcontext():
                time.sleep(0.5)
                result = super().__call__(shard)
            node = ray.get_runtime_context().get_node_id()
            return replace(result, commit=replace(result.commit, worker=node))

    return Sleepy(0.0, name)


def start(shards, count, timeout=None):
    """A run over shards of one image; its notes."""
    workers = Workers(make=sleepy, count=count, device="cpu", timeout=timeout)
    notes = []
    return run_on_ray(ones(shards), workers, None, notes.extend, notes.append), notes


@pytest.mark.slow
@pytest.mark.long
def test_a_draining_node_gets_nothing_new_and_its_death_is_nobodys_fault(monkeypatch):
    """Its second shard is lost with it and explained elsewhere, by a node that came later."""
    with cluster(monkeypatch) as found, ray_for(1, "cpu", found.address):
        spot = found.add_node(num_cpus=1)
        results, notes = start(40, 2)
        done, late, removed = [], None, None
        for result in results:
            if result is None:
                continue
            done.append(result.commit)
            if late is None and spot.node_id in {c.worker for c in done}:
                drain(found.address, spot.node_id, 20)
                late = found.add_node(num_cpus=1)
                found.remove_node(spot, allow_graceful=False)  # what it holds is lost
                removed = len(done)
        assert sorted(i for c in done for i in c.explained) == [f"{n:03}" for n in range(40)]
        assert not any(c.failed for c in done)
        assert sum(c.worker == spot.node_id for c in done[removed:]) <= 2  # what was on its way
        assert late.node_id in {c.worker for c in done}


@pytest.mark.slow
@pytest.mark.long
def test_what_a_draining_node_still_finishes_counts(monkeypatch):
    with cluster(monkeypatch) as found, ray_for(1, "cpu", found.address):
        spot = found.add_node(num_cpus=1)
        results, notes = start(24, 2)
        done, told = [], None
        for result in results:
            if result is not None:
                done.append(result.commit)
                if told is None and spot.node_id == result.commit.worker:
                    drain(found.address, spot.node_id, 60)
                    told = len(done)
        after = [c.worker for c in done[told:]]
        assert 1 <= after.count(spot.node_id) <= 4  # what it held, and what it got within a second
        assert sorted(i for c in done for i in c.explained) == [f"{n:03}" for n in range(24)]
        assert len([note for note in notes if "about to go" in note]) == 1


@pytest.mark.slow
@pytest.mark.long
def test_when_rays_node_dies_the_run_ends_and_says_so():
    with ray_for(1, "cpu", None):
        results, _ = start(10_000, 1)
        while next(results) is None:
            pass
        os.kill(ray._private.worker._global_node.all_processes["raylet"][0].process.pid, 9)
        with pytest.raises(RunError, match="Ray's process on this machine has died"):
            for _ in results:
                pass


@pytest.mark.slow
@pytest.mark.long
def test_a_growing_pool_takes_the_gpus_that_come(monkeypatch):
    """None are there at first; then two nodes come, one after the other, and the first goes."""
    counts = []
    with cluster(monkeypatch) as found, ray_for(1, "cuda", found.address, 0.5):
        workers = Workers(make=sleepy, count=1, device="cuda", gpu=0.5, grow=True)
        notes, done, nodes = [], [], []
        results = run_on_ray(ones(60), workers, None, notes.extend, notes.append, counts.append)
        for result in results:
            if result is not None:
                done.append(result.commit)
            if not nodes:
                nodes.append(found.add_node(num_cpus=4, num_gpus=1))
            elif len(nodes) == 1 and len({c.worker for c in done}) == 1 and len(done) > 3:
                nodes.append(found.add_node(num_cpus=4, num_gpus=2))
            elif len(nodes) == 2 and {c.worker for c in done} == {n.node_id for n in nodes}:
                drain(found.address, nodes[0].node_id, 20)
                nodes.append(None)
    assert sorted(i for c in done for i in c.explained) == [f"{n:03}" for n in range(60)]
    assert not any(c.failed for c in done)
    assert counts == [2, 6]
    assert "the cluster has grown: 6 workers" in notes


@pytest.mark.slow
@pytest.mark.long
def test_a_pool_without_a_place_says_what_it_waits_for_and_for_how_long(monkeypatch):
    monkeypatch.setattr("pipeline.run.pool.TELL_S", 1.0)
    with cluster(monkeypatch) as found, ray_for(1, "cuda", found.address):
        workers = Workers(make=sleepy, count=2, device="cuda", gpu=0.5, timeout=4)
        notes = []
        results = run_on_ray(ones(1), workers, None, notes.extend, notes.append)
        asked = "asked for 2 workers with 1 CPU and 0.5 GPU each; there: 1 CPU and 0 GPU on 1 node"
        with pytest.raises(RunError, match=f"no worker has been alive for 4 s: {asked}"):
            list(results)
    assert len(notes) == 1 and asked in notes[0]
    assert "the run ends if there is none within 4 s (--timeout)" in notes[0]
