"""What a plan says of time: what CPUs do beside GPUs."""

import dataclasses

import pytest

from jobs.plan import cpus
from pipeline.run import estimate
from pipeline.run.estimate import Host, estimate_cost


def cost(request, attempts=0, seconds=0.0):
    committed = dataclasses.replace(request.committed(), attempts=attempts, seconds=seconds)
    return estimate_cost(request, request.plan(committed), committed)


def test_cpus_decode_once_an_image_and_encode_once_a_mask(request_on_gpu, monkeypatch):
    took = iter([0.003, 0.001] * 2)
    monkeypatch.setattr(estimate, "_fastest", lambda work: work() and next(took))
    monkeypatch.setattr(estimate, "cpus_of_a_gpu", lambda workers: 8)
    areas = {"areas": [0.1, 0.2], "restarts": 3}
    host = cost(request_on_gpu(**areas)).host
    assert host.seconds == pytest.approx(0.003 + 6 * 0.001)
    assert (host.cpus, host.images_per_s, host.is_limit) == (8, None, False)
    assert host.most == pytest.approx(8 / 0.009)
    away = cost(request_on_gpu(**areas, address="auto"), attempts=600, seconds=2.0).host
    assert (away.cpus, away.images_per_s, away.is_limit) == (None, 300.0, False)
    assert away.most == pytest.approx(1 / 0.009)


def test_workers_on_cpus_have_no_such_limit(request_on_gpu):
    request = request_on_gpu()
    request.device = "cpu"
    assert cost(request).host is None


@pytest.mark.parametrize(
    ("cpus_", "rate", "said"),
    [
        (
            8,
            None,
            "4.0 ms an image; 8 for each GPU can do 2000 images/s (80000 passes/s), the limit",
        ),
        (8, 1500.0, "8 for each GPU can do 2000 images/s (80000 passes/s)"),
        (8, 1700.0, "2000 images/s (80000 passes/s), and are the limit: give a GPU more of them"),
        (None, 1700.0, "each CPU can do 250 images/s (10000 passes/s)"),
    ],
)
def test_the_plan_says_when_cpus_are_the_limit(cpus_, rate, said):
    text = cpus(Host(seconds=0.004, cpus=cpus_, images_per_s=rate), 40)
    assert said in text
    assert ("are the limit" in text) == (rate == 1700.0 and cpus_ == 8)


def test_the_time_really_taken(request_on_gpu):
    host = cost(request_on_gpu()).host
    assert 0 < host.seconds < 10
