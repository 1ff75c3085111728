"""The devices of workers: which there are, their settings, and the compiler that they need."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from typing import Literal

import torch

from pipeline.errors import RequestError

MALLOPT = {"M_TRIM_THRESHOLD": -1, "M_MMAP_THRESHOLD": -3}  # of glibc's malloc.h
SHARED = 0.9  # of a GPU's memory, for tensors where workers share it: each has libraries besides
KEPT_BYTES = 2**30  # freed memory up to this is used again, not given back


Gpus = int | Literal["auto"] | None


def grows(gpus: Gpus, address: str | None) -> bool:
    """Whether there are as many workers as the cluster has GPUs for, more and more of them."""
    return gpus == "auto" and address is not None


def places(
    gpus: Gpus, workers: int | None, address: str | None, gpu: float = 1.0
) -> tuple[str, int]:
    """Device and number of actors: --gpus, else --workers, else whatever this machine has.

    gpu  share of one that each worker takes
    With `auto` on a cluster, which is not asked yet: one.
    """
    if grows(gpus, address):
        if workers is not None:
            raise RequestError(f"--gpus auto and --workers {workers}: give one of the two")
        return "cuda", 1
    if gpus == "auto":
        gpus = torch.cuda.device_count()
        if not gpus:
            raise RequestError(
                "--gpus auto: this machine has none; use --workers N for CPUs, or --address for a "
                "cluster"
            )
    each = int(1 / gpu)
    here = gpus == 1 and workers == 0  # one GPU, in this process
    if gpus and workers is not None and not here:
        raise RequestError(
            f"--gpus {gpus} and --workers {workers}: give one of the two, or --gpus 1 "
            "--workers 0 for a GPU in this process"
        )
    visible = torch.cuda.device_count()
    if gpus:
        if address is None and gpus > visible:
            raise RequestError(
                f"--gpus {gpus}: this machine has {visible}; use --workers N for CPUs, or "
                "--address for a cluster"
            )
        return "cuda", 0 if here else gpus * each
    if workers is not None:
        return "cpu", workers
    if visible and gpus is None:
        return "cuda", visible * each
    return "cpu", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def prepare_device(device: str, threads: int, max_memory: int | None, *, compile: bool) -> None:
    """Set this process up for a worker, before it loads its classifier.

    threads     of a CPU worker; the sums' last bits depend on their number
    max_memory  bytes that a GPU worker's tensors may take
    compile     whether small functions of the method may be compiled (`inr_core.device.fused`)
    """
    if device == "cpu":
        torch.set_num_threads(threads)
        _keep_memory()
        return
    if not compile:
        torch.compiler.set_stance("force_eager")
    torch.backends.cudnn.benchmark = True  # shapes are few, so the search for kernels pays
    torch.backends.cudnn.allow_tf32 = True  # in convolutions; the networks' products stay float32
    if max_memory is not None:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, max_memory / total))


def share_of_memory(device: str, gpu: float, max_memory: int | None) -> int | None:
    """Bytes that a worker's tensors may take: its share of a GPU's, or less; None: no limit."""
    if device == "cpu" or gpu == 1.0:
        return max_memory
    share = int(SHARED * gpu * torch.cuda.get_device_properties(device).total_memory)
    return share if max_memory is None else min(share, max_memory)


def _keep_memory() -> None:
    """Have glibc use memory again: every pass takes the same, and new pages cost a tenth of it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option in MALLOPT.values():
            if hasattr(libc, "mallopt"):  # not in other C libraries
                libc.mallopt(option, KEPT_BYTES)


def c_compiler() -> str | None:
    """The C compiler that Triton would take, by its own rules; None where it finds none."""
    return os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
