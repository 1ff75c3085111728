"""Sizes that a GPU worker measures, with a meter that has none; and --max-memory."""

import dataclasses
from functools import partial
from statistics import mode

import pytest
import torch

from inr_core import METHODS, CaptureFailed, MicroBatch
from pipeline import Request, RequestError, load_job
from pipeline.classifiers import load_classifier
from pipeline.errors import BrokenWorker
from pipeline.run.memory import (
    SHARES,
    CudaMeter,
    batch_for,
    best_microbatch,
    images_that_fit,
    sizes_of_calls,
)
from pipeline.run.plan import where
from pipeline.run.spec import WorkerSpec
from pipeline.run.worker import ShardWorker
from pipeline.shapes import write_dataset
from pipeline.tables.shard import Shard

FAST = {"model": "builtin:shapes", "manifest": "m.csv"}


class Paper:
    """A device on paper: `fixed` bytes and `each` for an image, and a rate for each size."""

    def __init__(self, fixed, each, limit, rates=None, really=10**9, error=torch.OutOfMemoryError):
        self.fixed, self.each, self.limit, self.rates = fixed, each, limit, rates or {}
        self.really, self.error = really, error  # images that do not run out of memory
        self.asked = []

    def peak(self, images):
        self._take(images)
        return self.fixed + images * self.each

    def rate(self, images):
        self._take(images)
        self.asked.append(images)
        return self.rates[images]

    def _take(self, images):
        if images > self.really:
            raise self.error


@pytest.mark.parametrize(
    ("limit", "fits"),
    [
        (11_000, 35),  # 0.35 * (11 000 - 1000) = 3500, 100 each
        (11_285, 35),
        (11_286, 36),
        (1_000, 1),  # less than the classifier itself
    ],
)
def test_images_that_fit(limit, fits):
    assert images_that_fit(Paper(1000, 100, limit)) == fits


def test_what_is_on_a_gpu_at_once_fits():
    assert sum(SHARES.values()) < 1
    limit, fixed, each = 80e9, 1e9, 40e6
    images = images_that_fit(Paper(fixed, each, limit))
    # a graph keeps the memory of its step, and the passes of the start and of scores take as much
    own = 15e6  # of a network's tensors, in a graph and beside it
    assert fixed + 2 * images * each + images * own < limit
    assert fixed + 2 * (images + 50) * each + SHARES["method"] * limit > 0.9 * limit  # not for less


def test_images_that_cost_nothing_measurable_all_fit():
    assert images_that_fit(Paper(4, 0, 1000)) == 350


RATES = {32: 50.0, 64: 90.0, 128: 98.1, 256: 100.0, 512: 99.0}


@pytest.mark.parametrize(
    ("rates", "limit", "asked", "best"),
    [
        (RATES, 10**6, [512, 256, 128, 64], 128),  # 98.1 >= 0.98 * 100 > 90
        ({**RATES, 512: 103.0}, 10**6, [512, 256], 512),  # each size has to be compiled
        ({**RATES, 64: 100.0, 32: 99.0}, 10**6, [512, 256, 128, 64, 32], 32),
        (RATES, 73_857, [128, 64], 128),  # room for 254
        (RATES, 74_200, [256, 128, 64], 128),  # for 256
        (RATES, 29_000, [64, 32], 64),  # room for 98
        (RATES, 9_860, [], 16),  # room for 31: the largest power of two
        (RATES, 1_000, [], 1),
    ],
)
def test_the_smallest_size_that_is_nearly_the_fastest(rates, limit, asked, best):
    meter = Paper(1000, 100, limit, rates)
    assert best_microbatch(meter) == best
    assert meter.asked == asked


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory", 2),
    ],
)
def test_sizes_that_run_out_of_memory_after_all_are_left_out(error):
    def best(really):
        return best_microbatch(Paper(0, 1, 10**6, RATES, really, error))

    assert [best(100), best(31), best(7)] == [64, 16, 1]


def test_another_error_while_measuring_is_raised():
    with pytest.raises(RuntimeError, match="illegal"):
        best_microbatch(Paper(0, 1, 10**6, RATES, 100, RuntimeError("illegal")))


class Noting(torch.nn.Module):
    """A classifier that notes how many images it sees, with gradient if any call has one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = torch.nn.Conv2d(3, 4, 5, 4), torch.nn.Linear(4, 3)
        self.sizes = {True: [], False: []}

    def forward(self, image):
        self.sizes[torch.is_grad_enabled() and image.requires_grad].append(len(image))
        return self.head(self.conv(image).relu().mean((2, 3)))


STEPS = {"start.kind": "random", "steps": 2}
INDEPENDENT = {"objective.repel_weight": 0.0}  # restarts, which then are worked on together


@pytest.mark.parametrize(
    ("method", "settings", "microbatch"),
    [
        ("inr", STEPS, 1),
        ("inr", {**STEPS, "restarts": 3}, 64),
        ("inr", {**STEPS, "restarts": 3, **INDEPENDENT}, 64),
        ("inr", {**STEPS, "restarts": 4, "rounds": 2}, 5),
        ("inr", {**STEPS, "restarts": 2, "optimise.areas_per_step": 3}, 64),
        ("ep", {"steps": 2}, 1),
        ("pixels", {"optimise.steps": 2}, 1),
        ("rise", {"samples": 20}, 5),
        ("rise", {"samples": 400}, 64),  # more calls than its masks are scored in
        ("ig", {"steps": 3}, 64),
    ],
)
def test_most_calls_have_the_size_that_was_foretold(method, settings, microbatch):
    config = load_job(None, {**FAST, "method": method, **settings}).config
    module, image = Noting(), torch.randn(1, 3, 32, 32)
    target = torch.tensor([1])
    METHODS[method].explain(
        image,
        target,
        module(image).softmax(1)[:, 1].detach(),
        ["a"],
        module,
        config,
        seed=0,
        microbatch=MicroBatch(microbatch),
        module=module,
        custom_baseline=None,
    )
    sizes = module.sizes[True] or module.sizes[False][1:]
    assert mode(sizes) == max(sizes_of_calls(1, MicroBatch(microbatch), spec_for(method, config)))


def spec_for(method, config, device="cpu"):
    given = {"method": method, "config": config, "device": device, "batch": 0, "microbatch": 0}
    rest = {"model": "", "weights": None, "preprocess": None, "precision": "fp32", "seed": 0}
    return WorkerSpec(**given, **rest, extra_types={})


def test_a_step_fills_a_micro_batch():
    def sizes(batch, microbatch, config, device="cuda"):
        spec = spec_for("inr", config, device)
        return sizes_of_calls(batch, MicroBatch(microbatch), spec)

    # by hand: 2 areas a step, seen kept and removed: 4 images of each network
    one = load_job(None, FAST).config
    assert METHODS["inr"].together(one) == (1, 4)
    assert batch_for(128, 1, 4) == 4 * 32
    assert sizes(32, 128, one) == [16, 32, 64, 128]  # of 4, 8, 16 and 32 networks
    assert sizes(10, 128, one) == [16, 32, 64]  # a batch smaller than the micro-batch holds
    assert sizes(10, 128, one, "cpu") == [4]  # one image after the other
    assert sizes(10, 2, one) == sizes(1, 2, one, "cpu") == [4]  # one network is never cut
    three = load_job(None, {**FAST, "restarts": 3, **INDEPENDENT}).config
    assert METHODS["inr"].together(three) == (3, 4)
    assert batch_for(128, 3, 4) == 42  # 4 * 128 / 12
    assert sizes(2, 128, three) == [16, 32]  # 6 networks
    assert sizes(20, 128, three) == [16, 32, 64, 128]  # 60 networks, 32 at once
    assert sizes(20, 128, three, "cpu") == [12]
    # preservation only, as with several rounds: one side
    two = METHODS["inr"].together(load_job(None, {**FAST, "rounds": 2}).config)
    assert batch_for(128, *two) == 4 * 64
    # restarts in a chain, alone or beside the second round of the one before
    for rounds in (1, 2):
        chain = load_job(None, {**FAST, "restarts": 3, "rounds": rounds}).config
        assert METHODS["inr"].together(chain) == (rounds, 2)
    assert batch_for(2, 1, 4) == 2
    assert batch_for(1, 3, 4) == 1


@pytest.mark.parametrize(
    ("text", "memory"),
    [("20GB", 20 * 10**9), ("512MB", 512 * 10**6), ("1.5GiB", 3 * 2**29), (12345, 12345)],
)
def test_max_memory_is_read_as_people_write_it(text, memory):
    job = load_job(None, {**FAST, "max_memory": text})
    assert job.max_memory == memory
    assert load_job(None, job.resolved()).max_memory == memory


@pytest.mark.parametrize("text", ["much", "-3GB", 0, "20 bananas"])
def test_max_memory_that_is_no_size_is_refused(text):
    with pytest.raises(RequestError, match="max_memory: expected a size such as 20GB"):
        load_job(None, {**FAST, "max_memory": text})


def test_max_memory_is_for_gpus():
    job = load_job(None, {**FAST, "max_memory": "20GB", "workers": 2})
    with pytest.raises(RequestError, match=r"--max-memory 20.0GB: .*CPU workers.*--gpus"):
        where(job)


@pytest.fixture
def request_on_gpu(tmp_path):
    def make(**changes):
        manifest = str(write_dataset(tmp_path / "data", 1, 0))
        request = Request(load_job(None, {**FAST, "manifest": manifest, "workers": 0, **changes}))
        request.device = "cuda"
        return request

    return make


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
