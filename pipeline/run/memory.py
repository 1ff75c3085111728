"""How many images a GPU takes at once: measured when a worker starts, not guessed."""

from __future__ import annotations

import time
from statistics import median
from typing import Protocol

import torch

from inr_core import MicroBatch
from pipeline.classifiers import Frozen

PROBES = (4, 8)  # images of two passes; what the larger one takes more is that of the images
SIZES = (32, 64, 128, 256, 512)  # images at once whose speed is measured
NEAR = 0.95  # of the best rate: the smallest size that reaches it is taken
SHARE = 0.8  # of the memory for the classifier's passes; the method's own tensors take the rest
REPEATS = 3
WAVES = 4  # times as many networks as are optimised side by side: images alone take little memory


class Meter(Protocol):
    """Measures passes of a classifier, forward and back to the image.

    limit  bytes that tensors may take in all
    """

    limit: int

    def peak(self, images: int) -> int:
        """Bytes of all tensors, at the most, during a pass of so many images."""

    def rate(self, images: int) -> float:
        """Images/s in passes of so many images."""


class CudaMeter:
    """By the statistics of CUDA's allocator and the clock."""

    def __init__(self, frozen: Frozen, side: int, max_memory: int | None) -> None:
        self.frozen, self.side = frozen, side
        free, _ = torch.cuda.mem_get_info(frozen.device)
        free += torch.cuda.memory_reserved(frozen.device)
        self.limit = free if max_memory is None else min(free, max_memory)

    def peak(self, images: int) -> int:
        """Of the second pass: in the first one, cuDNN tries kernels out."""
        self._pass(images)
        torch.cuda.reset_peak_memory_stats(self.frozen.device)
        self._pass(images)
        return torch.cuda.max_memory_allocated(self.frozen.device)

    def rate(self, images: int) -> float:
        """From the median of a few passes after a first one."""
        self._pass(images)
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            self._pass(images)
            seconds.append(time.perf_counter() - started)
        torch.cuda.empty_cache()
        return images / median(seconds)

    def _pass(self, images: int) -> None:
        shape = (images, 3, self.side, self.side)
        image = torch.zeros(shape, device=self.frozen.device, requires_grad=True)
        torch.autograd.grad(self.frozen(image).sum(), image)
        torch.cuda.synchronize(self.frozen.device)


def best_microbatch(meter: Meter) -> int:
    """Images that the classifier should see at once: as few as are nearly as fast as possible.

    Where none of SIZES fits, the largest power of two that does; 1 where nothing seems to fit.
    """
    room = images_that_fit(meter)
    rates = {}
    for size in (size for size in SIZES if size <= room):
        try:
            rates[size] = meter.rate(size)
        except torch.OutOfMemoryError:  # others may have taken memory meanwhile
            room = size - 1
            break
    if not rates:
        return int(2 ** (room.bit_length() - 1))
    return min(size for size, rate in rates.items() if rate >= NEAR * max(rates.values()))


def images_that_fit(meter: Meter) -> int:
    """Images of a pass that takes SHARE of the memory, at least 1."""
    try:
        small, large = (meter.peak(images) for images in PROBES)
    except torch.OutOfMemoryError:
        return 1
    each = max(1.0, (large - small) / (PROBES[1] - PROBES[0]))
    fixed = small - PROBES[0] * each
    return max(1, int((SHARE * meter.limit - fixed) / each))


def batch_for(microbatch: int, networks: int, samples: int) -> int:
    """Images given to the method at once: a step of a WAVES-th of their networks fills one
    micro-batch, and those that wait take the places of those that have finished.

    networks, samples  see `inr_core.Method.together`
    """
    return max(1, WAVES * microbatch // (networks * samples))


def images_of_a_call(batch: int, microbatch: int, networks: int, samples: int) -> int:
    """Images of most calls of the classifier, as `MicroBatch` cuts the networks of a batch."""
    return MicroBatch(microbatch).at_once(batch * networks, samples) * samples
