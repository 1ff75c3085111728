"""How many images a GPU takes at once: measured when a worker starts, not guessed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

import torch

from inr_core import METHODS, AnyConfig, InrConfig, MicroBatch, is_out_of_memory
from pipeline.classifiers import Classifier
from pipeline.run.spec import WorkerSpec

PROBES = (4, 8)  # images of two passes; what the larger one takes more is that of the images
SIZES = (32, 64, 128, 256, 512)  # images at once whose speed is measured
NEAR = 0.98  # of the best rate: a smaller size is taken that reaches it
SHARES = {  # of the memory; what is left is for libraries, and for gaps
    "step": 0.35,  # passes in a step, whose memory a CUDA graph keeps for itself
    "pass": 0.35,  # passes outside of steps: of the start, and for scores
    "method": 0.2,  # the method's own tensors, the next batch included
}
WAVES = 4  # times as many networks as are optimised side by side: images alone take little memory


class Meter(Protocol):
    """Measures a classifier in a method's hands.

    limit  bytes that tensors may take in all
    """

    limit: int

    def peak(self, images: int) -> int:
        """Bytes of all tensors, at the most, during a pass of so many images."""

    def rate(self, images: int) -> float:
        """Work in a second with calls of so many images; memory may run out."""


class CudaMeter:
    """By the statistics of CUDA's allocator and the clock."""

    def __init__(self, classifier: Classifier, spec: WorkerSpec, record: bool) -> None:
        self.classifier, self.spec, self.record = classifier, spec, record
        free, _ = torch.cuda.mem_get_info(classifier.device)
        free += torch.cuda.memory_reserved(classifier.device)
        self.limit = free if spec.max_memory is None else min(free, spec.max_memory)

    def peak(self, images: int) -> int:
        """Of the second pass: in the first one, cuDNN tries kernels out."""
        self._pass(images)
        torch.cuda.reset_peak_memory_stats(self.classifier.device)
        self._pass(images)
        return torch.cuda.max_memory_allocated(self.classifier.device)

    def rate(self, images: int) -> float:
        """Of the second time: in the first one, compilers compile and graphs are recorded."""
        spec = self._one_round()
        networks, samples = METHODS[spec.method].together(spec.config)
        batch = max(1, images // (networks * samples))
        microbatch = MicroBatch(images, record=self.record, dtype=self.classifier.module.shown)
        if spec.compile:
            sizes = sizes_of_calls(batch, microbatch, spec)
            self.classifier.module.compile_for(lambda: sizes)
        rates = [self._rate(batch, microbatch, spec.config) for _ in range(2)]
        torch.cuda.empty_cache()
        if microbatch.images < images:
            raise torch.OutOfMemoryError(f"{images} images at once are too many")
        return rates[-1]

    def _one_round(self) -> WorkerSpec:
        """What is timed: of several rounds the first, in the game that they play."""
        config = self.spec.config
        if not isinstance(config, InrConfig):
            return self.spec
        return replace(self.spec, config=replace(config.settled(), rounds=1))

    def _rate(self, batch: int, microbatch: MicroBatch, config: AnyConfig) -> float:
        started = time.perf_counter()
        if isinstance(config, InrConfig):
            self._explain(batch, config, microbatch)
            return batch / (time.perf_counter() - started)
        self._pass(microbatch.images)  # other methods may take thousands of passes, all alike
        return microbatch.images / (time.perf_counter() - started)

    def _explain(self, batch: int, config: InrConfig, microbatch: MicroBatch) -> None:
        """The method, start, steps and scores, on images of noise."""
        shape, device = self.classifier.preprocess.shape, self.classifier.device
        METHODS["inr"].explain(
            torch.randn(batch, *shape, device=device),
            torch.zeros(batch, dtype=torch.long, device=device),
            torch.ones(batch, device=device),
            [str(image) for image in range(batch)],
            self.classifier.classify,
            config,
            seed=self.spec.seed,
            microbatch=microbatch,
            module=self.classifier.module,
            custom_baseline=torch.zeros(shape, device=device),
        )

    def _pass(self, images: int) -> None:
        shape, device = self.classifier.preprocess.shape, self.classifier.device
        image = torch.zeros(images, *shape, device=device, requires_grad=True)
        torch.autograd.grad(self.classifier.classify(image).sum(), image)
        torch.cuda.synchronize(device)


def best_microbatch(meter: Meter) -> int:
    """Images that the classifier should see at once: as few as are nearly as fast as possible.

    From the most that fit downwards, as each size has to be compiled, until one is slower. Where
    none of SIZES fits, the largest power of two that does; 1 where nothing seems to fit.
    """
    room = images_that_fit(meter)
    rates: dict[int, float] = {}
    for size in sorted((size for size in SIZES if size <= room), reverse=True):
        try:
            rates[size] = meter.rate(size)
        except Exception as error:  # others may have taken memory meanwhile
            if not is_out_of_memory(error):
                raise
            room = size - 1
            continue
        if rates[size] < NEAR * max(rates.values()):
            break
    if not rates:
        return int(2 ** (room.bit_length() - 1))
    return min(size for size, rate in rates.items() if rate >= NEAR * max(rates.values()))


def images_that_fit(meter: Meter) -> int:
    """Images of a pass that takes its share of the memory, at least 1."""
    try:
        small, large = (meter.peak(images) for images in PROBES)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return 1
    each = max(1.0, (large - small) / (PROBES[1] - PROBES[0]))
    fixed = small - PROBES[0] * each
    return max(1, int(min(SHARES["step"], SHARES["pass"]) * (meter.limit - fixed) / each))


def batch_for(microbatch: int, networks: int, samples: int) -> int:
    """Images given to the method at once: a step of a WAVES-th of their networks fills one
    micro-batch, and those that wait take the places of those that have finished.

    networks, samples  see `inr_core.Method.together`
    """
    return max(1, WAVES * microbatch // (networks * samples))


def sizes_of_calls(batch: int, microbatch: MicroBatch, spec: WorkerSpec) -> list[int]:
    """Images of most calls of the classifier, ascending, as the method cuts a batch of images."""
    networks, samples = METHODS[spec.method].together(spec.config)
    if spec.device == "cpu":  # which takes one image after the other
        return [microbatch.at_once(networks, samples) * samples]
    most = microbatch.room(batch * networks, samples)
    return [count * samples for count in microbatch.sizes(samples) if count <= most]
