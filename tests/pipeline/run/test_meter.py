"""A GPU worker that measures its own sizes, here with the meter of a CPU or one on paper."""

import dataclasses
from functools import partial

import pytest
import torch

from inr_core import CaptureFailed
from pipeline.classifiers import load_classifier
from pipeline.errors import BrokenWorker
from pipeline.run.memory import CudaMeter
from pipeline.run.worker import ShardWorker
from pipeline.tables.shard import Shard
from tests.memory import RATES, Paper
from tests.shards import INDEPENDENT


def test_sizes_are_measured_on_gpus_where_none_is_given(request_on_gpu):
    open_ = request_on_gpu().worker_spec()
    assert (open_.batch, open_.microbatch) == (0, 0)
    given = request_on_gpu(batch=3, microbatch=12).worker_spec()
    assert (given.batch, given.microbatch) == (3, 12)


@pytest.fixture
def meter_here(request_on_gpu, monkeypatch):
    """A meter as on a GPU, of a classifier on this CPU, compiled but not lowered."""
    fakes = {"mem_get_info": (1000, 2000), "memory_reserved": 30, "max_memory_allocated": 77}
    nothing = dict.fromkeys(("empty_cache", "synchronize", "reset_peak_memory_stats"))
    for name, value in {**fakes, **nothing}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *device, value=value: value)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    given = dict(steps=2, restarts=2, rounds=2, **INDEPENDENT)
    spec = request_on_gpu(**given, compile=True).worker_spec()
    classifier = load_classifier("builtin:shapes")
    yield CudaMeter(classifier, dataclasses.replace(spec, max_memory=900), record=False)
    torch._dynamo.reset()


def test_the_whole_method_is_timed_with_the_compiled_classifier(meter_here):
    frozen, calls = meter_here.classifier.module, []
    assert (meter_here.limit, meter_here.peak(4)) == (900, 77)
    frozen.register_forward_pre_hook(
        lambda module, given: calls.append((len(given[0]), torch.is_grad_enabled()))
    )
    assert meter_here.rate(8) > 0
    # 2 images of 2 networks, one side (preservation) and two areas: 8 images a step, on a CPU by 4
    gradient = [images for images, wanted in calls if wanted]
    assert gradient.count(4) == 2 * 2 * 2 and 8 in gradient  # twice, images, steps; path gradients
    assert frozen.compiled.ready >= {8} and max(frozen.compiled.sizes()) == 8
    assert frozen.eager == 0


def test_a_size_that_the_method_had_to_halve_does_not_fit(meter_here):
    def forward(image):
        if len(image) > 40:
            raise torch.AcceleratorError("CUDA error: out of memory", 2)
        return real(image)

    real = meter_here.classifier.module.forward
    meter_here.classifier.module.forward = forward
    with pytest.raises(torch.OutOfMemoryError, match="64 images at once are too many"):
        config = dataclasses.replace(meter_here.spec.config, restarts=32)
        meter_here.spec = dataclasses.replace(meter_here.spec, config=config, compile=False)
        meter_here.rate(64)


@pytest.fixture
def on_paper(request_on_gpu, monkeypatch):
    """Makes a worker of a GPU job on this CPU, whose meter is the one given."""

    def make(meter, shard=0, **given):
        monkeypatch.setattr("pipeline.run.worker.CudaMeter", meter)
        spec = request_on_gpu(max_memory=None, compile=False, **given).worker_spec(shard)
        return ShardWorker(dataclasses.replace(spec, device="cpu", max_memory=10**9))

    return make


@pytest.mark.parametrize(
    ("given", "used", "measured"),
    [
        ({}, (128, 128), 1),
        ({"shard": 100}, (100, 128), 1),  # no batch is larger than a shard
        ({"shard": 200}, (128, 128), 1),
        ({"batch": 5}, (5, 128), 1),
        ({"microbatch": 64}, (64, 64), 0),
        ({"batch": 5, "microbatch": 64}, (5, 64), 0),
    ],
)
def test_a_worker_fills_in_what_is_open_and_says_so(on_paper, given, used, measured):
    meters = []

    def meter(classifier, spec, record):
        meters.append((classifier.preprocess.crop, spec.max_memory, record))
        return Paper(1000, 100, 10**6, RATES)

    worker = on_paper(meter, **given)
    assert (worker.spec.batch, worker.spec.microbatch) == used
    assert (worker.batch, worker.microbatch.images) == used
    assert meters == [(128, 10**9, False)] * measured
    said = (f"{used[0]} images together, {used[1]} at once in the classifier",)
    assert worker.notes == (() if {"batch", "microbatch"} <= given.keys() else said)


def test_a_capture_that_fails_in_the_measurement_is_told_to_those_that_come_next(on_paper):
    def meter(classifier, spec, record):
        return Paper(0, 1, 10**6, RATES, 100, CaptureFailed("no graph of this\nsecond line"))

    worker = on_paper(meter)  # an error here would be a failed start without a reason
    with pytest.raises(BrokenWorker, match="CaptureFailed: no graph of this$") as broken:
        worker(Shard(()))
    assert broken.value.change == {"record": False}
