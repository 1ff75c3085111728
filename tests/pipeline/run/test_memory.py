"""How many images memory holds, by a meter on paper; and --max-memory."""

import pytest
import torch

from pipeline import RequestError, load_job
from pipeline.run.memory import SHARES, best_microbatch, images_that_fit
from pipeline.run.plan import where
from tests.memory import FAST, RATES, Paper


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
