"""What is done while the device works: the next batch made ready, the last one's masks encoded."""

import dataclasses
import threading
import time

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from inr_core import METHODS, MicroBatch
from pipeline.images import (
    AHEAD,
    READERS,
    decoded,
    image_bytes,
    load_image,
    normalise,
    one_ahead,
    together,
)
from pipeline.run import batches
from pipeline.run import worker as working
from pipeline.run.batches import Staging
from pipeline.run.prediction import scores_of
from pipeline.run.worker import ShardWorker
from pipeline.shapes import write_dataset
from pipeline.tables.shard import Shard
from tests.shards import refs_of, spec_of, tables

PATIENCE = 60.0  # seconds until a test that hangs fails


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shapes"), 6, 0)


def loaded(worker, ref):
    return load_image(ref.image, worker.classifier.preprocess)


class Events:
    """Events by name, each made when it is first asked for."""

    def __init__(self):
        self.known, self.lock = {}, threading.Lock()

    def __getitem__(self, name):
        with self.lock:
            return self.known.setdefault(name, threading.Event())


def test_a_slow_device_waits_neither_for_decoding_nor_for_encoding(dataset, monkeypatch):
    """Each batch ends only when the next is ready and the last encoded: in turn, it would hang."""
    refs = refs_of(dataset)
    wanted = tables(ShardWorker(spec_of(dataset, batch=2))(Shard(refs)))
    done, ids = Events(), [ref.id for ref in refs]

    class Noted(Staging):
        def batch(self, items):
            batch = super().batch(items)
            done["ready", items[0][0].id].set()
            return batch

    def mask_rows(id_, target, explanation):
        rows = real(id_, target, explanation)
        done["encoded", id_].set()
        return rows

    def explain(image, **named):
        found = METHODS["inr"].explain(image, **named)
        first = ids.index(named["ids"][0])
        if first + 2 < len(ids):
            assert done["ready", ids[first + 2]].wait(PATIENCE), "the next batch is not made ready"
        for id_ in ids[max(0, first - 2) : first]:
            assert done["encoded", id_].wait(PATIENCE), "the last batch is not encoded"
        return found

    real = batches.mask_rows
    monkeypatch.setattr(working, "Staging", Noted)
    monkeypatch.setattr(batches, "mask_rows", mask_rows)
    slow = {"inr": dataclasses.replace(METHODS["inr"], explain=explain)}
    monkeypatch.setattr(working, "METHODS", slow)
    assert tables(ShardWorker(spec_of(dataset, batch=2))(Shard(refs))) == wanted


def test_memory_of_batches_is_used_again(dataset):
    worker = ShardWorker(spec_of(dataset, batch=4))
    items = [(ref, loaded(worker, ref)) for ref in refs_of(dataset)]
    staging = Staging(4, torch.device("cpu"))
    first = staging.batch(items[:4])
    pixels = torch.stack([loaded.pixels for _, loaded in items])
    fields = worker.classifier.preprocess
    assert first.rgb_BCHW.dtype == torch.uint8
    assert torch.equal(normalise(first.rgb_BCHW, fields), pixels[:4])  # to the last bit
    second = staging.batch(items[4:])  # shorter, while the first is in use
    assert second.room.data_ptr() != first.room.data_ptr()
    assert torch.equal(normalise(second.rgb_BCHW, fields), pixels[4:])
    assert torch.equal(normalise(first[1:3].rgb_BCHW, fields), pixels[1:3])
    staging.release(first)
    third = staging.batch(items[2:])
    assert third.room.data_ptr() == first.room.data_ptr()
    assert torch.equal(normalise(third.rgb_BCHW, fields), pixels[2:])


def test_a_worker_needs_two_places_for_its_batches_at_the_most(dataset):
    worker = ShardWorker(spec_of(dataset, batch=1))
    for _ in range(2):
        worker(Shard(refs_of(dataset)))
    assert 1 <= len(worker.staging.free) <= 2


@pytest.mark.gpu
def test_batches_for_a_gpu_wait_in_page_locked_memory(dataset):
    worker = ShardWorker(spec_of(dataset))
    items = [(ref, loaded(worker, ref)) for ref in refs_of(dataset)]
    batch = Staging(8, torch.device("cuda")).batch(items)
    assert batch.rgb_BCHW.is_pinned()
    found = normalise(batch.rgb_BCHW.cuda(non_blocking=True), worker.classifier.preprocess)
    wanted = normalise(batch.rgb_BCHW, worker.classifier.preprocess)
    torch.testing.assert_close(found.cpu(), wanted)


class Waits(TorchDispatchMode):
    """Counts reads of single values, for each of which one waits for a device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_what_the_classifier_says_of_a_batch_is_read_once(dataset):
    worker = ShardWorker(spec_of(dataset))
    refs = list(refs_of(dataset))
    refs[1] = dataclasses.replace(refs[1], target=None)
    image = torch.stack([loaded(worker, ref).pixels for ref in refs])
    scores = worker.classifier.classify(image).softmax(1).detach()
    with Waits() as waits:
        found = scores_of(image, worker.classifier.classify, "softmax", MicroBatch(4))
    assert waits.count == 1  # whether all are finite, which is asked on the host
    with Waits() as waits:
        top = [row.argmax().item() for row in scores]
    assert waits.count == len(refs)  # it would see them
    targets = [t if r.target is None else r.target for r, t in zip(refs, top, strict=True)]
    said = worker.asking.of(found, refs)
    for b, target in enumerate(targets):
        (asked,) = said.asked[b]
        assert asked.target == (target, pytest.approx(scores[b, target].item(), abs=1e-6))
        assert said.predicted[b] == (top[b], pytest.approx(scores[b, top[b]].item(), abs=1e-6))


def test_one_ahead_makes_the_next_item_meanwhile_and_in_order():
    made = Events()

    def items():
        for n in range(4):
            made[n].set()
            yield n

    ahead = one_ahead(items())
    assert made[0].wait(PATIENCE)  # before anybody asks
    for n in range(4):
        assert next(ahead) == n
        if n < 3:
            assert made[n + 1].wait(PATIENCE)
            assert not made[n + 2].is_set() or n == 2
    assert list(ahead) == []


def test_one_ahead_raises_where_its_items_do_and_closes():
    def items():
        yield 1
        raise RuntimeError("no more")

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(RuntimeError, match="no more"):
        next(ahead)
    ended = one_ahead(iter(range(10)))
    next(ended)
    before = threading.active_count()
    ended.close()
    assert threading.active_count() < before


def test_reads_wait_side_by_side_however_few_decode(dataset, monkeypatch):
    """Each read ends only when all others have begun: with a thread for each helper it would hang.

    Of those that have read no more decode at once than there are helpers.
    """
    shard = Shard(refs_of(dataset))
    wanted = tables(ShardWorker(spec_of(dataset))(shard))
    all_begun = threading.Barrier(len(shard.refs), timeout=PATIENCE)
    busy, most, lock = 0, 0, threading.Lock()

    def read(uri, max_bytes):
        all_begun.wait()
        return image_bytes(uri, max_bytes)

    def decode(data, preprocess):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.01)  # so that they would meet
        with lock:
            busy -= 1
        return decoded(data, preprocess)

    monkeypatch.setattr(together, "image_bytes", read)
    monkeypatch.setattr(working, "decoded", decode)
    worker = ShardWorker(spec_of(dataset))
    assert tables(worker(shard)) == wanted
    assert worker.threads < len(shard.refs) <= AHEAD < READERS
    assert 1 <= most <= worker.threads
