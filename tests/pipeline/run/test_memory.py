"""Sizes that a GPU worker measures, with a meter that has none; and --max-memory."""

import dataclasses
from statistics import mode

import pytest
import torch

from inr_core import METHODS, MicroBatch
from pipeline import Request, RequestError, load_job
from pipeline.run.memory import batch_for, best_microbatch, images_of_a_call, images_that_fit
from pipeline.run.plan import where
from pipeline.run.worker import ShardWorker
from pipeline.shapes import write_dataset

FAST = {"model": "builtin:shapes", "manifest": "m.csv"}


class Paper:
    """A device on paper: `fixed` bytes and `each` for an image, and a rate for each size."""

    def __init__(self, fixed, each, limit, rates=None, really=10**9):
        self.fixed, self.each, self.limit, self.rates = fixed, each, limit, rates or {}
        self.really = really  # images that do not run out of memory
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
            raise torch.OutOfMemoryError


@pytest.mark.parametrize(
    ("limit", "fits"),
    [
        (10_000, 70),  # 0.8 * 10 000 - 1000 = 7000, 100 each
        (10_124, 70),  # 99.2 more
        (10_125, 71),
        (1_000, 1),  # less than the classifier itself
    ],
)
def test_images_that_fit(limit, fits):
    assert images_that_fit(Paper(1000, 100, limit)) == fits


def test_images_that_cost_nothing_measurable_all_fit():
    assert images_that_fit(Paper(4, 0, 1000)) == 800


RATES = {32: 50.0, 64: 90.0, 128: 95.1, 256: 100.0, 512: 99.0}


@pytest.mark.parametrize(
    ("rates", "limit", "asked", "best"),
    [
        (RATES, 10**6, [32, 64, 128, 256, 512], 128),  # 95.1 >= 0.95 * 100 > 90
        ({**RATES, 512: 120.0}, 10**6, [32, 64, 128, 256, 512], 512),
        ({**RATES, 32: 95.0}, 10**6, [32, 64, 128, 256, 512], 32),
        (RATES, 33_249, [32, 64, 128], 128),  # room for 255
        (RATES, 33_250, [32, 64, 128, 256], 128),  # for 256
        (RATES, 13_749, [32, 64], 64),  # room for 99
        (RATES, 5_249, [], 16),  # room for 31: the largest power of two
        (RATES, 1_000, [], 1),
    ],
)
def test_the_smallest_size_that_is_nearly_the_fastest(rates, limit, asked, best):
    meter = Paper(1000, 100, limit, rates)
    assert best_microbatch(meter) == best
    assert meter.asked == asked


def test_sizes_that_run_out_of_memory_after_all_are_left_out():
    assert best_microbatch(Paper(0, 1, 10**6, RATES, really=100)) == 64
    assert best_microbatch(Paper(0, 1, 10**6, RATES, really=31)) == 16
    assert best_microbatch(Paper(0, 1, 10**6, RATES, really=7)) == 1


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


@pytest.mark.parametrize(
    ("method", "settings", "microbatch"),
    [
        ("inr", STEPS, 1),
        ("inr", {**STEPS, "restarts": 3}, 64),
        ("inr", {**STEPS, "restarts": 4, "rounds": 2}, 5),
        ("inr", {**STEPS, "restarts": 2, "optimise.areas_per_step": 3}, 64),
        ("ep", {"steps": 2}, 1),
        ("pixels", {"optimise.steps": 2}, 1),
        ("rise", {"samples": 20}, 5),
        ("rise", {"samples": 20}, 64),
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
    together = METHODS[method].together(config)
    assert mode(sizes) == images_of_a_call(1, microbatch, *together)


def test_a_step_fills_a_micro_batch():
    # by hand: 2 areas a step, seen kept and removed: 4 images of each network
    together = METHODS["inr"].together(load_job(None, FAST).config)
    assert together == (1, 4)
    assert batch_for(128, *together) == 4 * 32
    assert images_of_a_call(32, 128, *together) == 128
    assert images_of_a_call(10, 128, *together) == 40  # a batch smaller than the micro-batch holds
    three = METHODS["inr"].together(load_job(None, {**FAST, "restarts": 3}).config)
    assert three == (3, 4)
    assert batch_for(128, *three) == 42  # 4 * 128 / 12
    assert images_of_a_call(10, 128, *three) == 120
    assert images_of_a_call(20, 128, *three) == 128  # 60 networks, 32 at once
    # preservation only, as with several rounds: one side
    two = METHODS["inr"].together(load_job(None, {**FAST, "rounds": 2}).config)
    assert batch_for(128, *two) == 4 * 64
    assert batch_for(2, *together) == 2
    assert batch_for(1, *three) == 1
    assert images_of_a_call(1, 2, *together) == 4  # one network is never cut


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


@pytest.mark.parametrize(
    ("given", "used", "measured"),
    [
        ({}, (128, 128), 1),
        ({"batch": 5}, (5, 128), 1),
        ({"microbatch": 64}, (64, 64), 0),
        ({"batch": 5, "microbatch": 64}, (5, 64), 0),
    ],
)
def test_a_worker_fills_in_what_is_open_and_says_so(
    request_on_gpu, monkeypatch, given, used, measured
):
    meters = []

    def meter(frozen, side, max_memory):
        meters.append((side, max_memory))
        return Paper(1000, 100, 10**6, RATES)

    monkeypatch.setattr("pipeline.run.worker.CudaMeter", meter)
    spec = request_on_gpu(max_memory=None, compile=False, **given).worker_spec()
    worker = ShardWorker(dataclasses.replace(spec, device="cpu", max_memory=10**9))
    assert (worker.spec.batch, worker.spec.microbatch) == used
    assert (worker.batch, worker.microbatch.images) == used
    assert meters == [(128, 10**9)] * measured
    said = (f"{used[0]} images together, {used[1]} at once in the classifier",)
    assert worker.notes == (() if len(given) == 2 else said)
