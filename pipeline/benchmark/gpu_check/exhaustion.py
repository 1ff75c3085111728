"""Memory that runs out, and a capture that fails: what a worker makes of them on a real GPU."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.benchmark.gpu_check.sections import Findings, Place, Skipped
from pipeline.benchmark.gpu_check.workers import (
    SHAPES,
    compare,
    explained,
    refs_of,
    request_of,
    shapes_manifest,
    worker_of,
)
from pipeline.errors import BrokenWorker
from pipeline.run import ShardWorker
from pipeline.tables import Shard

SHARE = 0.5  # of the memory that was needed


def exhaustion(place: Place, found: Findings) -> None:
    """A worker with too little memory for its sizes halves them; the masks stay what they were."""
    count = place.size(64, 2)
    given: dict[str, Any] = {}
    if place.quick:  # few images: independent restarts fill the micro-batch
        given = {"steps": 2, "restarts": 4, "objective": {"repel_weight": 0.0}}
    request = request_of(
        place, shapes_manifest(place, count), microbatch=place.size(512, 16), **SHAPES, **given
    )
    refs = refs_of(request)
    wanted, needed = _measured(worker_of(request, count), refs, place)
    worker = worker_of(request, count)
    asked = worker.microbatch.images
    with _limited(worker, int(SHARE * needed), asked, place):
        compare("little memory, enough", explained(worker, refs), wanted, found)
    left = worker.microbatch.images
    found.figures |= {"needed": needed, "asked": asked, "left": left, "notes": [*worker.notes]}
    found.expect(f"the size was halved: {asked}, then {left}", left < asked)
    found.expect("no eager call of the classifier", worker.frozen.eager == 0)


def captures(place: Place, found: Findings) -> None:
    """A classifier of which no graph can be made: the worker is broken, one without graphs is not.

    In a process of its own, which can allocate nothing afterwards.
    """
    if place.device == "cpu":
        raise Skipped("there are no graphs on a CPU")
    manifest = shapes_manifest(place, 4)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        reason, change = pool.submit(_break, place, manifest).result()
    found.figures |= {"reason": reason, "change": change}
    found.expect(f"the worker asks for one that records nothing: {change}", bool(change))
    again = _waiting(place, manifest, **change)
    explained(again, refs_of(request_of(place, manifest, **SHAPES)))


def _measured(
    worker: ShardWorker, refs: Any, place: Place
) -> tuple[dict[tuple[Any, ...], dict[str, Any]], int]:
    """Masks, and bytes that they took besides what the worker has."""
    if place.device == "cpu":
        return explained(worker, refs), 0
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    masks = explained(worker, refs)
    return masks, torch.cuda.max_memory_allocated() - before


@contextmanager
def _limited(worker: ShardWorker, memory: int, images: int, place: Place) -> Iterator[None]:
    """Only so many bytes are left to the worker; on a CPU, half of its images are too many."""
    if place.device == "cpu":
        module: Any = Narrow(worker.frozen, images // 2)
        worker.classifier = dataclasses.replace(worker.classifier, module=module)
        yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    share = (torch.cuda.memory_reserved() + memory) / total
    torch.cuda.set_per_process_memory_fraction(min(1.0, share))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _break(place: Place, manifest: str) -> tuple[str, dict[str, Any]]:
    """What a worker says of a classifier of which no graph can be made."""
    worker = _waiting(place, manifest)
    try:
        worker(Shard(refs_of(request_of(place, manifest, **SHAPES))))
    except BrokenWorker as broken:
        return broken.reason, broken.change
    return "nothing broke", {}


def _waiting(place: Place, manifest: str, **change: Any) -> ShardWorker:
    """A worker whose classifier waits for the device in every call."""
    request = request_of(place, manifest, microbatch=64, batch=4, **SHAPES)
    worker = worker_of(request, 4, **change)
    module: Any = Waiting(worker.frozen)
    worker.classifier = dataclasses.replace(worker.classifier, module=module)
    return worker


class Narrow(nn.Module):
    """A classifier with memory for so many images."""

    def __init__(self, inner: nn.Module, images: int) -> None:
        super().__init__()
        self.inner, self.images = inner, images

    def forward(self, image_MCHW: Tensor) -> Tensor:
        """Logits; raises as CUDA does."""
        if len(image_MCHW) > self.images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        logits: Tensor = self.inner(image_MCHW)
        return logits


class Waiting(nn.Module):
    """A classifier that looks at its logits, for which it has to wait."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image_MCHW: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.inner(image_MCHW)
        return logits if logits.sum().item() == 0 else logits + 0
