"""Ray: a cluster that is joined, or one that is started on this machine and ended again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray


@contextmanager
def ray_for(workers: int, device: str, address: str | None) -> Iterator[None]:
    """Ray for so many workers: that of this process, if it has started one, else one for a while.

    address  a running cluster to join; None starts one on this machine
    """
    if ray.is_initialized():
        yield
        return
    _start_ray(address, workers, workers if device == "cuda" else 0)
    try:
        yield
    finally:
        ray.shutdown()


def _start_ray(address: str | None, cpus: int, gpus: int) -> None:
    """Join a cluster, or start a silent one on this machine."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a local cluster listens on loopback only
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    on_terminate = signal.getsignal(signal.SIGTERM)
    if address is not None:
        ray.init(address=address, **common)
    else:
        ray.init(address="local", num_cpus=cpus, num_gpus=gpus, include_dashboard=False, **common)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray puts its own in place, which aborts
