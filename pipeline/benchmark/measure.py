"""The benchmark: the bare classifier, the method's loop, whole runs and a peer, in turn.

Every repeat goes over the batches of images, and a turn is, for one batch, the loop, then as many
bare passes as the loop took, with as many images at once, then the peer. A whole run ends the
repeat. So whatever else disturbs the machine disturbs them alike, and ratios are taken within a
turn, those of whole runs within a repeat:

bare_passes_per_s        the classifier alone, forward and back to the image (forward only for
                         methods without gradient), in the loop's precision and batches
loop_passes_per_s        passes over the time of all that a worker's call of the method does with
                         images in memory: start, steps, final masks and their scores
end_to_end_images_per_s  images over the time of the workers, from files to tables, once started,
                         times the workers (see `whole_run`)
loop_ratio               loop over bare passes
loop_ratio_cpu           on a CPU, the same by the processor's time of this process, which other
                         programs do not take away
end_to_end_ratio         end-to-end images times passes per image, over loop passes times workers.
                         The loop is that of one worker alone: what workers take from each other
                         counts as a loss
startup_seconds          from the command until a worker began its first shard
against_images_per_s     of the peer's loop, and against_ratio: the method's loop over it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from inr_core import METHODS
from pipeline.benchmark import GENERATED
from pipeline.benchmark.images import generate_images
from pipeline.benchmark.loop import Batch, Loop, prepared
from pipeline.benchmark.passes import PassCounter, peak_memory
from pipeline.benchmark.step_profile import profile_step
from pipeline.benchmark.turn import Turn, take_turn
from pipeline.benchmark.whole_run import WholeRun, whole_run
from pipeline.errors import RequestError
from pipeline.job import Job
from pipeline.run import Request, ShardWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What was measured.

    samples  values by name, one per turn or, of whole runs, per repeat; their median is the result
    counts   whole numbers and means that no repeat changes: images, workers, batch, ...;
             passes_per_image as counted, nominal_passes_per_image as planned,
             forward_only_per_image further ones without gradient, which score the final masks;
             peak_memory_bytes of the loop's process: of tensors on a GPU, else resident
    step     seconds of the parts of an optimisation step; empty for other methods than inr
    """

    device: str
    precision: str
    counts: dict[str, float]
    samples: dict[str, list[float]]
    step: dict[str, float]

    def median(self, name: str) -> float:
        """The result of that name."""
        return median(self.samples[name])

    def results(self) -> dict[str, Any]:
        """Everything as plain data: medians and counts by name, then step and samples."""
        medians = {name: self.median(name) for name in self.samples}
        return {
            "device": self.device,
            "precision": self.precision,
            **medians,
            **self.counts,
            "step_seconds": self.step,
            "samples": self.samples,
        }


def benchmark(
    job: Job,
    folder: Path,
    *,
    images: int,
    repeats: int,
    against: str | None = None,
    loading: float = 0.0,
    report: Callable[[str], None] = lambda doing: None,
) -> Benchmark:
    """Measure a job on its first `images` images, or on generated ones.

    folder   for generated images, and for tables where the job has no `out`: in `benchmark/`
    against  another method, timed on the same images with its own settings
    loading  seconds from the command to this call, part of what it takes to start
    report   is told what is being done
    """
    _check_peer(job, against)
    if job.manifest == GENERATED:
        job = job.model_copy(update={"manifest": str(generate_images(folder / "images", images))})
    request = Request(job)
    refs = list(islice(request.manifest, images))
    worker = ShardWorker(request.worker_spec())
    batches = prepared(worker, refs)
    loop = Loop(worker, PassCounter(worker.classifier.module), job.method, job.config)
    peer = None if against is None else _peer(loop, against, batches[0])
    report("warming up")
    memory = _warm_up(loop, batches)
    if peer is not None:
        _warm_up(peer, batches)
    samples: dict[str, list[float]] = defaultdict(list)
    for repeat in range(1, repeats + 1):
        report(f"repeat {repeat} of {repeats}: loop and bare classifier")
        turns = [take_turn(loop, peer, batch) for batch in batches]
        report(f"repeat {repeat} of {repeats}: whole run")
        out = f"{job.out or folder}/benchmark/{repeat}"
        whole = whole_run(job, refs, out, folder / "manifest.csv", request.device, request.workers)
        for rates in (
            *map(Turn.rates, turns),
            _whole_rates(whole, turns, request.workers, loading),
        ):
            for name, value in rates.items():
                samples[name].append(value)
    report("parts of a step")
    step = profile_step(loop, batches[0]) if job.method == "inr" else {}
    counts = {"workers": request.workers, "repeats": repeats, "peak_memory_bytes": memory}
    counts |= {"images": len(refs), "batch": len(batches[0].ids)}
    return Benchmark(
        device=request.device,
        precision=request.precision,
        counts=counts | _passes(job, turns),
        samples=dict(samples),
        step=step,
    )


def _passes(job: Job, turns: Sequence[Turn]) -> dict[str, float]:
    """Passes per image, as counted and as planned."""
    images = sum(turn.images for turn in turns)
    return {
        "passes_per_image": sum(turn.passes for turn in turns) / images,
        "nominal_passes_per_image": METHODS[job.method].passes(job.config),
        "forward_only_per_image": sum(turn.forward_only for turn in turns) / images,
    }


def _check_peer(job: Job, against: str | None) -> None:
    others = [name for name in METHODS if name != job.method]
    if against is not None and against not in others:
        raise RequestError(
            f"--against {against}: expected a method other than --method {job.method}: "
            f"{', '.join(others)}"
        )


def _peer(loop: Loop, method: str, batch: Batch) -> Loop:
    """Another method in the loop's place, with the same areas."""
    try:
        METHODS[method].check(loop.counter, batch.image_BCHW[:1])
    except ValueError as error:
        raise RequestError(f"--against {method}: {error}") from error
    config = METHODS[method].config(areas=loop.config.areas)
    return replace(loop, method=method, config=config)


def _warm_up(loop: Loop, batches: Sequence[Batch]) -> int:
    """Explain one batch of every size; returns the peak of memory."""
    device = loop.worker.classifier.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for batch in {len(batch.ids): batch for batch in batches}.values():
        loop(batch)
    loop.counter.take()
    return peak_memory(device)


def _whole_rates(
    whole: WholeRun, turns: Sequence[Turn], workers: int, loading: float
) -> dict[str, float]:
    """The whole run's value of every name, beside the turns of its repeat."""
    # passes per image would stand above and below, and cancel out
    alone = sum(turn.images for turn in turns) / sum(turn.loop.wall for turn in turns)
    return {
        "end_to_end_images_per_s": whole.images_per_s,
        "end_to_end_ratio": whole.images_per_s / (alone * max(1, workers)),
        "startup_seconds": loading + whole.startup_seconds,
    }
