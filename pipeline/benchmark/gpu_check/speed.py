"""Speed: the bare classifier, steps, the loop over batches, and files to tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from pipeline.benchmark import (
    BarePasses,
    Batch,
    Calls,
    Loop,
    PassCounter,
    StepParts,
    prepared,
    timed,
)
from pipeline.benchmark.gpu_check.sections import Findings, Place
from pipeline.benchmark.gpu_check.workers import (
    SHAPES,
    photos_manifest,
    refs_of,
    request_of,
    weights_of,
    worker_of,
)
from pipeline.run import Request, ShardWorker, run
from pipeline.tables import Shard

EP_SECONDS = 14.0  # of the published extremal perturbations for an image
FASTER = {"default": 1500, "fast": 4000}  # times
END_TO_END = 0.95  # of the loop
BATCHES = 3
TIMES = 10


def speed(place: Place, found: Findings, model: str, goal: float) -> None:
    """Of one model of torchvision, in bf16, at several sizes; the loop over bare passes."""
    device, images = torch.device(place.device), place.size(256, 2)
    manifest = photos_manifest(place, place.size(512, 3))
    for size in (128, 256, 512) if not place.quick else (8,):
        request = _request(place, manifest, model, batch=images, microbatch=size)
        worker = worker_of(request, images)
        loop = Loop(worker, PassCounter(worker.classifier.module), "inr", request.job.config)
        batch = prepared(worker, refs_of(request)[:images])[0]
        figures = {"bare compiled": _bare(loop, batch, size, device)}
        compiled, worker.frozen.compiled = worker.frozen.compiled, None
        figures["bare eager"] = _bare(loop, batch, size, device)
        worker.frozen.compiled = compiled
        found.figures[f"{size} passes/s"] = figures
        _step(loop, batch, size, device, found)
    took = [timed(lambda: loop(batch), device).wall for _ in range(BATCHES + 1)][1:]
    rate = images / median(took)
    passes = sum(loop.calls(batch).of_passes) / images
    ratio = rate * passes / figures["bare compiled"]
    found.figures |= {"images/s": rate, "passes an image": passes, "loop / bare": ratio}
    found.figures["occupancy"] = worker.microbatch.occupancy.share
    found.goal(f"loop / bare is {ratio:.3f}, goal {goal}", ratio >= goal)
    if model == "mobilenet_v2":
        _times("default", rate, found)
        fast = _request(place, manifest, model, batch=images, microbatch=size, preset="fast")
        _times("fast", _images_per_s(fast, images, device), found)
        _between(request, images, place, found)


def end_to_end(place: Place, found: Findings) -> None:
    """JPEGs through the driver, one worker in this process; within shards, beside the loop."""
    count, shard = place.size(512, 4), place.size(256, 2)
    manifest = photos_manifest(place, count)
    given = {"out": str(place.folder / "out"), "shard_size": shard}
    request = _request(place, manifest, "mobilenet_v2", **given)
    summary = run(request, lambda progress: None)
    assert request.folder is not None
    commits = sorted(request.folder.commits(), key=lambda commit: commit.finished)
    inside = shard / commits[-1].seconds  # the first one records
    device = torch.device(place.device)
    alone = _images_per_s(_request(place, manifest, "mobilenet_v2"), shard, device)
    found.figures |= {
        "images/s of the run": summary.images_per_s,
        "images/s in a shard": inside,
        "images/s of the loop": alone,
        "end to end / loop": inside / alone,
        "notes": summary.notes,
    }
    found.expect(f"all are explained: {summary}", summary.explained == count)
    found.goal(f"end to end / loop is {inside / alone:.3f}", inside >= END_TO_END * alone)


def _request(place: Place, manifest: str, model: str, **given: Any) -> Request:
    if place.quick:
        tiny = {**SHAPES, "steps": 2} if given.get("preset") is None else dict(SHAPES)
        return request_of(place, manifest, **tiny, **given)
    weights = weights_of(place, model)
    return request_of(place, manifest, model=f"torchvision:{model}", weights=weights, **given)


def _bare(loop: Loop, batch: Batch, size: int, device: torch.device) -> float:
    """Passes/s of calls with so many images."""
    bare = BarePasses(loop.worker.frozen, Calls((size,), ()), batch.image_BCHW)
    bare()
    return size / median(timed(bare, device).wall for _ in range(TIMES))


def _step(loop: Loop, batch: Batch, size: int, device: torch.device, found: Findings) -> None:
    """Milliseconds of a step and, on a GPU, its kernels by name."""
    step = StepParts(loop, batch).slots.step
    step()
    took = median(timed(step, device).wall for _ in range(TIMES))
    figures: dict[str, Any] = {"ms": 1000 * took}
    if device.type == "cuda":
        figures["kernels"] = _kernels(step)
    found.figures[f"{size} step"] = figures


def _kernels(work: Callable[[], None]) -> dict[str, list[float]]:
    """Name of each kernel, how often it ran, and microseconds in all, the longest first."""
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    counts, times = Counter[str](), Counter[str]()
    for event in profile.events():
        counts[event.name] += 1
        times[event.name] += int(event.device_time)
    return {name: [counts[name], times[name]] for name, _ in times.most_common()}


def _images_per_s(request: Request, images: int, device: torch.device) -> float:
    """Of the loop, images in memory, after a first batch."""
    worker = worker_of(request, images)
    loop = Loop(worker, PassCounter(worker.classifier.module), "inr", request.job.config)
    batch = prepared(worker, refs_of(request)[:images])[0]
    took = [timed(lambda: loop(batch), device).wall for _ in range(BATCHES)][1:]
    return len(batch.ids) / median(took)


def _times(preset: str, rate: float, found: Findings) -> None:
    times = rate * EP_SECONDS
    found.figures[f"{preset}: times as fast as EP"] = times
    found.goal(f"{preset} is {times:.0f} times as fast as EP", times >= FASTER[preset])


def _between(request: Request, images: int, place: Place, found: Findings) -> None:
    """Milliseconds from the end of one batch to the beginning of the next, on the device."""
    watched = Watched(request.worker_spec(images), "check")
    refs = refs_of(request)
    shard = Shard((refs * (1 + BATCHES * images // len(refs)))[: BATCHES * images])
    watched(shard)
    found.figures["ms between batches"] = watched.idle()


class Watched(ShardWorker):
    """Notes when each batch begins and ends on its device."""

    marks: tuple[Any, ...] = ()

    def _attempt(self, *given: Any) -> Any:
        begin = self._mark()
        failure = super()._attempt(*given)
        self.marks = (*self.marks, (begin, self._mark()))
        return failure

    def idle(self) -> list[float]:
        """Milliseconds between batches."""
        pairs = zip(self.marks, self.marks[1:], strict=False)
        if self.classifier.device.type == "cpu":
            return [1000 * (after - end) for (_, end), (after, _) in pairs]
        torch.cuda.synchronize()
        return [end.elapsed_time(after) for (_, end), (after, _) in pairs]

    def _mark(self) -> Any:
        if self.classifier.device.type == "cpu":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
