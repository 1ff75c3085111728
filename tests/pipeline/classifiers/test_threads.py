"""Threads beside torch's: what a worker's share of its node is."""

import os

import pytest

from pipeline.classifiers import threads


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with so many CPUs and GPUs; `quota` is the text of its container's file."""

    def make(cpus, gpus, quota=None):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)), raising=False)
        monkeypatch.setattr(threads, "GPUS", tmp_path / "gpus")
        for gpu in range(gpus):
            (tmp_path / "gpus" / f"0000:{gpu:02x}").mkdir(parents=True)
        monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
        if quota is not None:
            (tmp_path / "cpu.max").write_text(quota)

    return make


@pytest.mark.parametrize(
    ("cpus", "gpus", "quota", "workers", "share"),
    [
        (96, 8, None, 8, 12),
        (96, 8, None, 32, 12),  # on four such nodes
        (96, 8, None, 2, 48),  # six GPUs are others', or idle
        (96, 8, "max 100000\n", 8, 12),
        (96, 8, "1600000 100000\n", 8, 2),  # a container with 16 CPUs
        (4, 8, None, 8, 1),
        (8, 0, None, 1, 8),  # nothing is known of the driver
    ],
)
def test_a_gpus_share_of_the_cpus(node, cpus, gpus, quota, workers, share):
    node(cpus, gpus, quota)
    assert threads.cpus_of_a_gpu(workers) == share
    assert threads.helpers("cuda", workers) == max(2, share)
    assert threads.helpers("cpu", workers) == 2
