"""The scheduler on a real Ray, with workers that compute nothing but die, hang and fail."""

import time

import pytest

from pipeline import RunError
from pipeline.manifest import ImageRef
from pipeline.run import Workers, attempts, pool
from pipeline.run.cluster import ray_for
from pipeline.run.pool import FAILED_STARTS
from pipeline.run.scheduler import run_on_ray
from pipeline.tables import Shard


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    """One for all tests here; `run_on_ray` takes what this process has."""
    with ray_for(2, "cpu", None):
        yield


def make(name, change=None, starts=True):
    """A worker that does what ids say; all of it here, so that it is pickled whole."""
    import os
    from contextlib import nullcontext

    from pipeline.benchmark.sleeper import Sleeper
    from pipeline.errors import BrokenWorker

    class Fragile(Sleeper):
        notes = (f"{name} is here", "so are we all")

        def __call__(self, shard, turn=None):
            for ref in shard.refs:
                self.meet(ref.id)
            with turn or nullcontext():
                time.sleep(0.05)
                return super().__call__(shard)

        def meet(self, id_):
            if id_.startswith("poison"):
                time.sleep(0.1)  # as a neighbour is in its turn
                os._exit(7)
            if id_.startswith("hang"):
                time.sleep(1000)
            if id_.startswith("graph") and change is None:
                raise BrokenWorker("capture failed", {"change": "no graphs"})
            if id_.startswith("raise"):
                raise KeyError(id_)

    if not starts:
        raise OSError("no such device")
    worker = Fragile(0.0, name)
    worker(Shard((ImageRef(id="first", image="a.jpg", target=0, extra={}),)))  # imports take time
    return worker


def shards_of(*groups):
    for group in groups:
        refs = (ImageRef(id=i, image=f"{i}.jpg", target=0, extra={}) for i in group.split())
        yield Shard(tuple(refs))


def explain(*groups, **changes):
    """Ids that were explained, reasons by id that failed, and notes."""
    explained, failed, notes = [], {}, []
    workers = Workers(**{"make": make, "count": 1, "device": "cpu", **changes})
    for result in run_on_ray(shards_of(*groups), workers, None, notes.extend, notes.append):
        if result is not None:
            explained += result.commit.explained
            failed |= dict.fromkeys(result.commit.failed, reason_of(result))
    return sorted(explained), failed, notes


def reason_of(result):
    import io

    import pyarrow.parquet as pq

    if "failures" not in result.tables:
        return None
    return pq.read_table(io.BytesIO(result.tables["failures"]))["reason"][0].as_py()


def test_a_death_while_decoding_blames_no_neighbour():
    explained, failed, notes = explain("a", "poison-1", "b", "c", "poison-2", "d")
    assert explained == ["a", "b", "c", "d"]
    assert sorted(failed) == ["poison-1", "poison-2"]
    assert "died" in failed["poison-1"]
    assert notes[:4] == ["worker-0 is here", "so are we all", "worker-1 is here", "so are we all"]


@pytest.mark.slow
@pytest.mark.long
def test_adjacent_images_that_kill_are_all_set_aside_however_many(monkeypatch):
    monkeypatch.setattr(attempts, "PATIENCE", 2)  # so that six are many
    poison = [f"poison-{n:02}" for n in range(6)]
    explained, failed, _ = explain(" ".join(poison), "a b", count=2)
    assert explained == ["a", "b"]
    assert sorted(failed) == poison


def broken(name):
    """A worker that dies on whatever it is given."""
    import os

    class Broken:
        notes = ()

        def __call__(self, shard, turn=None):
            os._exit(7)

    return Broken()


def test_a_classifier_that_dies_on_everything_ends_the_run_before_any_image_is_blamed():
    with pytest.raises(RunError, match="broken.*on an image of ours.*died"):
        _, failed, _ = explain("a", "b", "c", "d", make=broken)
        assert not failed


def raising(name):
    class Raising:
        notes = ()

        def __call__(self, shard, turn=None):
            raise TypeError("no such argument")

    return Raising()


def test_a_worker_that_raises_on_everything_ends_the_run_with_what_it_raises():
    with pytest.raises(RunError, match="on an image of ours.*no such argument"):
        explain("a", "b c", make=raising)


def test_an_image_that_hangs_is_looked_for_and_set_aside(monkeypatch):
    monkeypatch.setattr(pool, "TELL_S", 120.0)  # a busy machine starts workers slowly
    explained, failed, _ = explain("a b hang c", "d", timeout=10, count=2)
    assert explained == ["a", "b", "c", "d"]
    assert list(failed) == ["hang"] and "no result within 10 s (--timeout)" in failed["hang"]


def test_a_change_that_a_broken_worker_asks_for_is_made_and_blames_no_image():
    explained, failed, notes = explain("graph-1 a", "graph-2", "b")
    assert explained == ["a", "b", "graph-1", "graph-2"] and not failed
    assert "a worker is made anew, with change=no graphs: capture failed" in notes
    assert notes.count("worker-1 is here") == 1 and "worker-2 is here" not in notes


def test_a_place_where_no_worker_starts_is_given_up_while_others_work():
    def first_only(name):
        if name != "worker-0":
            raise OSError("no such device")
        worker = make(name)
        worker.seconds = 0.5
        return worker

    shards = [f"image-{n}" for n in range(30)]
    explained, failed, notes = explain(*shards, make=first_only, count=2)
    assert explained == sorted(shards) and not failed
    (given_up,) = [note for note in notes if "given up" in note]
    assert "no such device" in given_up and "1 go on" in given_up


def test_where_no_worker_starts_at_all_the_run_ends_with_the_reason():
    def nowhere(name):
        raise OSError("no such device")

    with pytest.raises(RunError, match=f"{FAILED_STARTS} workers.*not start: .*no such device"):
        explain("a", make=nowhere, count=2)


def test_without_a_place_for_a_worker_the_run_ends_with_what_is_missing(monkeypatch):
    monkeypatch.setattr("pipeline.run.pool.TELL_S", 1.0)
    with pytest.raises(RunError) as error:
        explain("a", device="cuda", count=3, timeout=2)
    text = str(error.value)
    assert "no worker has been alive" in text
    assert "asked for 3 workers with 1 CPU and 1 GPU each" in text
    assert "there: 2 CPU and 0 GPU on 1 node, free: 2 CPU" in text and "pending: no node" in text
