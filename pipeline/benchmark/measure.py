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

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from inr_core import METHODS, fallbacks
from pipeline.benchmark import GENERATED
from pipeline.benchmark.figures import Benchmark
from pipeline.benchmark.images import generate_images
from pipeline.benchmark.loop import Batch, Loop, prepared
from pipeline.benchmark.passes import PassCounter, peak_memory
from pipeline.benchmark.step_profile import profile_step
from pipeline.benchmark.turn import Turn, take_turn
from pipeline.benchmark.whole_run import SHARD, WholeRun, whole_run
from pipeline.errors import RequestError, describe
from pipeline.job import Job
from pipeline.manifest import ImageRef
from pipeline.run import Request, ShardWorker


def benchmark(
    job: Job,
    folder: Path,
    *,
    images: int,
    repeats: int,
    against: str | None = None,
    loading: float = 0.0,
    report: Callable[[str], None] = lambda doing: None,
    keep: Callable[[Benchmark], None] = lambda found: None,
) -> Benchmark:
    """Measure a job on its first `images` images, or on generated ones.

    folder   for generated images, and for tables where the job has no `out`: in `benchmark/`
    against  another method, timed on the same images with its own settings
    loading  seconds from the command to this call, part of what it takes to start
    report   is told what is being done
    keep     is given what has been measured, whenever there is more of it

    A GPU has one user at a time: there, the worker of the loops is gone before whole runs begin,
    which are compared with the loops of the same repeat.
    """
    _check_peer(job, against)
    if job.manifest == GENERATED:
        job = job.model_copy(update={"manifest": str(generate_images(folder / "images", images))})
    request = Request(job)
    refs = list(islice(request.manifest, images))
    counts: dict[str, float] = {"workers": request.workers, "repeats": repeats, "images": len(refs)}
    found = Benchmark(device=request.device, precision=request.precision, counts=counts)

    def measure_whole(repeat: int, turns: list[Turn]) -> None:
        report(f"repeat {repeat} of {repeats}: whole run")
        out = f"{job.out or folder}/benchmark/{repeat}"
        whole = whole_run(job, refs, out, folder / "manifest.csv", request.device, request.workers)
        found.add(_whole_rates(whole, turns, request.workers, loading))
        keep(found)

    report("warming up")
    loops = Loops(request, refs, against, found)
    later, turns = [], list[Turn]()
    for repeat in range(1, repeats + 1):
        report(f"repeat {repeat} of {repeats}: loop and bare classifier")
        turns = loops.turns()
        keep(found)
        if has_one_user(request.device):
            later.append((repeat, turns))
        else:
            measure_whole(repeat, turns)
    report("parts of a step")
    loops.profile()
    del loops
    free_memory()
    keep(found)
    for repeat, turns in later:
        measure_whole(repeat, turns)
    return found


class Loops:
    """A worker in this process, its loop and that of a peer; what they show goes to `found`."""

    def __init__(
        self, request: Request, refs: Sequence[ImageRef], against: str | None, found: Benchmark
    ) -> None:
        self.job, self.found = request.job, found
        worker = ShardWorker(request.worker_spec(min(len(refs), SHARD["cuda"])))
        self.batches = prepared(worker, refs)
        counter = PassCounter(worker.classifier.module)
        self.loop = Loop(worker, counter, self.job.method, self.job.config)
        self.peer = None if against is None else _peer(self.loop, against, self.batches[0])
        found.counts["peak_memory_bytes"] = _warm_up(self.loop, self.batches)
        found.counts["batch"] = len(self.batches[0].ids)
        if self.peer is not None:
            _warm_up(self.peer, self.batches)

    def turns(self) -> list[Turn]:
        """One over every batch."""
        turns = [take_turn(self.loop, self.peer, batch) for batch in self.batches]
        for turn in turns:
            self.found.add(turn.rates())
        self.found.counts |= _passes(self.job, turns)
        self._note()
        return turns

    def profile(self) -> None:
        """Time the parts of a step; where that fails, a note says why."""
        if self.job.method != "inr":
            return
        self.loop.worker.microbatch.kept.clear()  # they hold memory, and are done
        try:
            self.found.step = profile_step(self.loop, self.batches[0])
        except Exception as error:  # memory may run out; what was measured until now stays
            self.found.notes.append(f"the parts of a step are not known: {describe(error)}")

    def _note(self) -> None:
        worker = self.loop.worker
        self.found.counts["occupancy"] = worker.microbatch.occupancy.share
        now = (*worker.notes, *worker.frozen.notes, *fallbacks())
        self.found.notes += [note for note in dict.fromkeys(now) if note not in self.found.notes]


def has_one_user(device: str) -> bool:
    """Whether workers should not share the device with one that idles in this process."""
    return device == "cuda"


def free_memory() -> None:
    """Give back what nobody in this process holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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
