"""The device of a worker: its settings, and images on their way there."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

MALLOPT = {"M_TRIM_THRESHOLD": -1, "M_MMAP_THRESHOLD": -3}  # of glibc's malloc.h
KEPT_BYTES = 2**30  # freed memory up to this is used again, not given back


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


def _keep_memory() -> None:
    """Have glibc use memory again: every pass takes the same, and new pages cost a tenth of it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option in MALLOPT.values():
            if hasattr(libc, "mallopt"):  # not in other C libraries
                libc.mallopt(option, KEPT_BYTES)


def upload(pixels: Sequence[Tensor], device: torch.device) -> Tensor:
    """Images (C, H, W) as one tensor (B, C, H, W) on the device, without waiting for a GPU."""
    image_BCHW = torch.stack(list(pixels))
    if device.type == "cuda":
        return image_BCHW.pin_memory().to(device, non_blocking=True)
    return image_BCHW.to(device)
