"""A worker whose memory runs out, or whose device breaks: no image is blamed, no table changes."""

import dataclasses
import pickle
from functools import partial

import pytest
import torch

from inr_core import METHODS, CaptureFailed
from pipeline.errors import BrokenWorker
from pipeline.run.worker import ShardWorker, notes_at_start
from pipeline.tables.shard import Shard
from tests.shards import INDEPENDENT, refs_of, spec_of, tables
from tests.variants import variants


class Narrow(torch.nn.Module):
    """The shapes classifier with memory for so many images."""

    def __init__(self, inner, images, error):
        super().__init__()
        self.inner, self.images, self.error, self.largest = inner, images, error, 0

    def forward(self, image):
        if len(image) > self.images:
            raise self.error
        self.largest = max(self.largest, len(image))
        return self.inner(image)


def narrow(worker, images, error=None):
    error = error or torch.OutOfMemoryError("out of memory\nsecond line")
    module = Narrow(worker.classifier.module, images, error)
    worker.classifier = dataclasses.replace(worker.classifier, module=module)
    return module


EXHAUSTED = [  # as PyTorch, CUDA, cuDNN and cuBLAS say it
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory", 2),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]


@pytest.mark.parametrize("error", variants(EXHAUSTED))
def test_little_memory_changes_no_table(dataset, error):
    refs = refs_of(dataset)
    sizes = {"batch": 4, "microbatch": 64, "restarts": 3, **INDEPENDENT}
    wanted = tables(ShardWorker(spec_of(dataset, **sizes))(Shard(refs)))
    worker = ShardWorker(spec_of(dataset, **sizes))
    # of 12 for the networks of an image, and 24 for their final masks
    module = narrow(worker, 8, error)
    assert close(tables(worker(Shard(refs))), wanted)
    assert module.largest <= 8 and worker.microbatch.images == 4  # one network of three


def close(one, other):
    """Whether tables are equal but for the last bits of scores, which depend on the batch."""
    assert [r["mask"] for r in one["masks"]] == [r["mask"] for r in other["masks"]]
    assert one.keys() == other.keys()
    for name, rows in one.items():
        for a, b in zip(rows, other[name], strict=True):
            for key, value in a.items():
                same = pytest.approx(b[key], abs=1e-6) if isinstance(value, float) else b[key]
                assert value == same, key
    return True


@pytest.mark.parametrize("most", variants([1, 2, 3]))
def test_a_batch_that_is_too_much_for_the_method_is_halved_and_no_image_blamed(
    dataset, monkeypatch, most
):
    refs = refs_of(dataset)
    wanted = tables(ShardWorker(spec_of(dataset))(Shard(refs)))
    batches = []

    def explain(image, *given, **named):
        batches.append(len(image))
        if len(image) > most:
            raise EXHAUSTED[most]
        return METHODS["inr"].explain(image, *given, **named)

    limited = {"inr": dataclasses.replace(METHODS["inr"], explain=explain)}
    monkeypatch.setattr("pipeline.run.worker.METHODS", limited)
    worker = ShardWorker(spec_of(dataset, batch=4))
    assert tables(worker(Shard(refs))) == wanted
    assert batches == {1: [4, 2, 1, 1, 1, 1], 2: [4, 2, 2], 3: [4, 2, 2]}[most]
    batches.clear()
    assert tables(worker(Shard(refs))) == wanted
    assert max(batches) <= most  # it has learnt


def test_an_image_that_alone_is_too_much_fails(dataset):
    worker = ShardWorker(spec_of(dataset, batch=4))
    narrow(worker, 3)  # of 4 for one network
    result = worker(Shard(refs_of(dataset)))
    assert result.commit.explained == ()
    reasons = {row["reason"] for row in tables(result)["failures"]}
    assert reasons == {"OutOfMemoryError: out of memory"}
    assert len(result.commit.failed) == 4


@pytest.mark.parametrize("error", EXHAUSTED)
def test_memory_that_runs_out_while_whole_images_are_scored(dataset, error):
    refs = refs_of(dataset)
    given = {"batch": 4, "microbatch": 64, "method": "centre", "steps": None, "areas": [0.1]}
    wanted = tables(ShardWorker(spec_of(dataset, **given))(Shard(refs)))
    worker = ShardWorker(spec_of(dataset, **given))
    module = narrow(worker, 2, error)  # of 4 images, which then have two for their mask, each
    assert close(tables(worker(Shard(refs))), wanted)
    assert module.largest == worker.microbatch.images == 2


def test_memory_that_runs_out_while_compiling_halves_what_is_compiled(dataset, monkeypatch):
    sizes = []

    def compiled(run, **_):
        def call(image):
            sizes.append(len(image))
            if len(image) > 6:
                raise TimeoutError from EXHAUSTED[1]  # a compiler wraps what it meets
            return run(image)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    spec = spec_of(dataset, batch=4, microbatch=64, restarts=6, **INDEPENDENT)
    worker = ShardWorker(dataclasses.replace(spec, compile=True))
    assert sizes == [24, 12, 4, 4]  # of 6, 3 and 1 network; with gradient, and without
    assert worker.spec.microbatch == worker.microbatch.images == 4
    assert not any("without torch.compile" in note for note in worker.notes)
    assert close(
        tables(worker(Shard(refs_of(dataset)))),
        tables(ShardWorker(spec)(Shard(refs_of(dataset)))),
    )


class Unusable(torch.nn.Module):
    """Raises an error once it is switched on."""

    def __init__(self, inner, error):
        super().__init__()
        self.inner, self.error = inner, error

    def forward(self, image):
        if self.error is not None:
            raise self.error
        return self.inner(image)


def test_a_gpu_worker_without_a_c_compiler_says_so(dataset, monkeypatch):
    spec = dataclasses.replace(spec_of(dataset), device="cuda", compile=True)
    monkeypatch.setattr("pipeline.run.worker.c_compiler", lambda: "/usr/bin/gcc")
    assert notes_at_start(spec) == ()
    monkeypatch.setattr("pipeline.run.worker.c_compiler", lambda: None)
    (note,) = notes_at_start(spec)
    assert note.startswith("no C compiler is installed")
    assert notes_at_start(dataclasses.replace(spec, compile=False)) == ()
    assert notes_at_start(dataclasses.replace(spec, device="cpu")) == ()


def test_a_device_that_answers_nothing_any_more_blames_no_image(dataset):
    worker = ShardWorker(spec_of(dataset))
    error = torch.AcceleratorError("CUDA error: an illegal memory access", 700)
    module = Unusable(worker.classifier.module, error)
    worker.classifier = dataclasses.replace(worker.classifier, module=module)
    with pytest.raises(BrokenWorker, match="AcceleratorError: .*illegal memory access") as broken:
        worker(Shard(refs_of(dataset)))
    assert broken.value.change == {}


def test_a_capture_that_failed_blames_no_image_and_teaches_the_next_worker(dataset, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda run, **_: run)
    worker = ShardWorker(spec_of(dataset))
    module = Unusable(worker.classifier.module, CaptureFailed("no graph: of this\nsecond line"))
    worker.classifier = dataclasses.replace(worker.classifier, module=module)
    with pytest.raises(BrokenWorker) as broken:
        worker(Shard(refs_of(dataset)))
    again = pickle.loads(pickle.dumps(broken.value))  # as it comes from an actor
    assert str(again) == "CaptureFailed: no graph: of this"
    make = partial(ShardWorker, dataclasses.replace(spec_of(dataset), compile=True))
    assert make("a").microbatch.record
    assert not make("b", **again.change).microbatch.record  # as the pool of workers makes it
