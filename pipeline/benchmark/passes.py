"""Passes of a classifier: counted as they happen, and done bare to compare with.

A pass is one image through the frozen classifier, forward and back to the image; for methods that
need no gradient, forward only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Calls:
    """How many images each call of a classifier saw, by whether a gradient was wanted."""

    with_gradient: tuple[int, ...]
    forward_only: tuple[int, ...]

    @property
    def of_passes(self) -> tuple[int, ...]:
        """The calls that count as passes: if any has a gradient, those; else all."""
        return self.with_gradient or self.forward_only


class PassCounter(nn.Module):
    """A classifier that notes its calls; otherwise as it was."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._calls: tuple[list[int], list[int]] = [], []

    def forward(self, image_MCHW: Tensor) -> Tensor:
        """Logits (M, K)."""
        gradient = torch.is_grad_enabled() and image_MCHW.requires_grad
        self._calls[not gradient].append(len(image_MCHW))
        logits: Tensor = self.module(image_MCHW)
        return logits

    def take(self) -> Calls:
        """The calls since the last `take`."""
        found = Calls(tuple(self._calls[0]), tuple(self._calls[1]))
        self._calls = [], []
        return found


class BarePasses:
    """The classifier alone, called with as many images at once as in `calls`, in the same order.

    image_BCHW  what it is shown; laid out beforehand as convolutions like it best
    """

    def __init__(self, module: nn.Module, calls: Calls, image_BCHW: Tensor) -> None:
        self.module = module
        self.sizes = calls.of_passes
        self.gradient = bool(calls.with_gradient)
        self.input = {size: self._input(size, image_BCHW) for size in set(self.sizes)}

    def __call__(self) -> None:
        for size in self.sizes:
            image = self.input[size]
            if self.gradient:
                torch.autograd.grad(self.module(image).sum(), image)
            else:
                with torch.no_grad():
                    self.module(image)

    def _input(self, size: int, image_BCHW: Tensor) -> Tensor:
        cycled = image_BCHW[torch.arange(size, device=image_BCHW.device) % len(image_BCHW)]
        cycled = cycled.contiguous(memory_format=torch.channels_last)
        return cycled.requires_grad_(self.gradient)


@dataclass(frozen=True, slots=True)
class Seconds:
    """What work took: by the clock, and of the processor's time, which others do not take away."""

    wall: float
    cpu: float


def timed(work: Callable[[], object], device: torch.device) -> Seconds:
    """How long `work` takes, with all it has started on the device."""
    synchronise(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    synchronise(device)
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def synchronise(device: torch.device) -> None:
    """Wait for what has been started on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Bytes: on a GPU what tensors held at the most; on a CPU this process's peak resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
