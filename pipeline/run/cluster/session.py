"""Ray for a run: a cluster that is joined, or one that is started on this machine for a while."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
import ray._private.services
import ray._private.worker
import ray._raylet

from pipeline.errors import RequestError, RunError
from pipeline.run.cluster.access import no_token, private_cluster, users_cluster
from pipeline.run.cluster.code import code_of
from pipeline.run.cluster.paths import init
from pipeline.run.cluster.reaper import reaper

ANSWER_S = 5.0  # for a port to answer
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # variable that Ray gives to jobs that were submitted
DEFAULTS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}


@contextmanager
def ray_for(
    workers: int, device: str, address: str | None, gpu: float = 1.0, code: str | None = None
) -> Iterator[None]:
    """Ray for so many workers: that of this process, if it has started one, else one for a while.

    address  a running cluster to join; None starts one on this machine
    gpu      of each worker
    code     MODULE:FACTORY whose code the nodes of a cluster that is joined do not have
    Raises RequestError where no cluster answers at the address, or where it wants another token.
    """
    if ray.is_initialized():
        yield
        return
    with private_cluster() if address is None else users_cluster():
        _hush()
        with _same_signals():
            if address is None:
                _start(workers, math.ceil(gpu * workers) if device == "cuda" else 0)
            else:
                _join(address, [] if code is None else code_of(code)[1])
        with reaper() if address is None else nullcontext():
            try:
                yield
            finally:
                ray.shutdown()


def _start(cpus: int, gpus: int) -> None:
    try:
        init(address="local", num_cpus=cpus, num_gpus=gpus, include_dashboard=False, **QUIET)
    except Exception as error:  # a folder that cannot be written, a port, a library
        raise RunError(
            f"Ray does not start on this machine: {_first_line(error)}; it writes to "
            f"{os.environ.get('RAY_TMPDIR', '/tmp')} (RAY_TMPDIR names another folder); "
            "--workers 0 works without it"
        ) from error


def _join(address: str, code: list[Path]) -> None:
    """Code goes to the head, and from there once to each node; a job that was submitted has it."""
    environment = {"py_modules": [str(one) for one in code]}
    sent: dict[str, Any] = {"runtime_env": environment} if code and JOB not in os.environ else {}
    try:
        gcs = ray._private.services.canonicalize_bootstrap_address_or_die(address)
        _look(gcs)
        init(address=gcs, **QUIET, **sent)
    except ray.exceptions.AuthenticationError as error:
        raise no_token(address) from error
    except Exception as error:  # ConnectionError, ValueError, RuntimeError: Ray has many
        raise RequestError(
            f"--address {address}: no Ray cluster answers there ({_first_line(error)}); expected "
            "auto or HOST:PORT of the head node (`ray start --head` prints it, 6379 mostly); "
            "http:// addresses are for `xaipipe submit`"
        ) from error


def _look(gcs: str) -> None:
    """Raises what is wrong with an address in seconds; Ray itself would try for longer."""
    host, _, port = gcs.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S):
        pass
    with _unheard():  # it logs what it raises
        ray._raylet.GcsClient(address=gcs)  # type: ignore[attr-defined]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _same_signals() -> Iterator[None]:
    """Handlers stay: Ray puts its own in place, which abort."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _hush() -> None:
    """What Ray would print about every death, pages each, stays out of the terminal.

    Errors that are raised say what has to be known; the rest is in Ray's log files.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if hasattr(ray._private.worker, "print_to_stdstream"):
        ray._private.worker.print_to_stdstream = lambda *given, **named: None


@contextmanager
def _unheard() -> Iterator[None]:
    """Nothing is written to stderr meanwhile, not by libraries in C++ either."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
