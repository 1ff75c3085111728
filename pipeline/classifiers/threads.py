"""Threads: torch's own, and those that decode images and encode masks beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

GPUS = Path("/proc/driver/nvidia/gpus")  # one entry each, also of those that others work on
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # `max 100000`, or microseconds of CPUs in so many of time
HELPERS = 2  # of a worker, at least: one waits for a file or a lock while the other computes


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread meanwhile.

    For a few small passes more threads gain little, and where others use the cores they spin.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def helpers(device: str, workers: int) -> int:
    """Threads that decode for a worker, and as many that encode: its share of the node's CPUs.

    workers  of the run; a node has no more of them than GPUs
    """
    if device == "cpu":  # which have a core each, for their passes
        return HELPERS
    return max(HELPERS, cpus_of_a_gpu(workers))


def cpus_of_a_gpu(workers: int) -> int:
    """CPUs of this node for each GPU that works, at least 1; `workers` there are in the run."""
    return max(1, cpus() // max(1, min(gpus_of_this_node(), workers)))


def cpus() -> int:
    """CPUs that this process may use: by affinity, and by the quota of its container."""
    has_affinity = hasattr(os, "sched_getaffinity")
    count = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    try:
        microseconds, period = QUOTA.read_text().split()
        return max(1, min(count, int(microseconds) // int(period)))
    except (OSError, ValueError):  # no such file, or no limit
        return count


def gpus_of_this_node() -> int:
    """Also those that are hidden from this process; 1 where nothing is known."""
    try:
        return max(1, len(list(GPUS.iterdir())))
    except OSError:
        return max(1, torch.cuda.device_count())
