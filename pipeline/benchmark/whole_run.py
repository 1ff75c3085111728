"""A whole run for the benchmark: images per second from files to tables, and the time to start.

Workers start and end at different times, which matters only because a benchmark has few images. So
a worker counts from the end of its first shard to the end of its last one.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.benchmark.images import repeat_images
from pipeline.errors import RequestError, RunError
from pipeline.job import EVERY_ROW, Job
from pipeline.manifest import ImageRef
from pipeline.run import Request, run
from pipeline.store import Commit
from pipeline.tables import read

SHARD = {"cpu": 1, "cuda": 256}  # images at the most; few on CPUs, where each takes seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """Images per second of all workers once started, and seconds until the first began a shard."""

    images_per_s: float
    startup_seconds: float


def whole_run(
    job: Job, refs: Sequence[ImageRef], out: str, manifest: Path, device: str, workers: int
) -> WholeRun:
    """Run a job on `refs`, gone round until every worker has a first shard and its share of them.

    manifest  file to write: these images under new ids
    workers   0: one, in this process
    """
    workers = max(1, workers)
    size = job.shard_size or min(SHARD[device], len(refs))
    shards = workers * (1 + math.ceil(len(refs) / (size * workers)))
    changes: dict[str, Any] = {
        **EVERY_ROW,
        "manifest": str(repeat_images(manifest, refs, size * shards)),
        "out": out,
        "shard_size": size,
    }
    started = time.time()
    request = Request(job.model_copy(update=changes))
    if request.committed().explained:
        raise RequestError(f"--out: {out} holds a run; name another --out, or add --overwrite")
    summary = run(request, lambda progress: None)
    if summary.failed:
        (stage, reason), _ = read(out).failure_reasons()[0]
        raise RunError(f"{summary.failed} images failed in a whole run: {stage}: {reason}")
    assert request.folder is not None
    commits = list(request.folder.commits())
    return WholeRun(
        images_per_s=workers * rate_of_a_worker(commits),
        startup_seconds=min(c.finished - c.seconds for c in commits) - started,
    )


def rate_of_a_worker(commits: Iterable[Commit]) -> float:
    """Images per second of a worker's time from the end of its first shard on, over all workers."""
    by_worker: dict[str, list[Commit]] = defaultdict(list)
    for commit in sorted(commits, key=lambda c: c.finished):
        by_worker[commit.worker].append(commit)
    images = sum(len(c.explained) for own in by_worker.values() for c in own[1:])
    return images / sum(own[-1].finished - own[0].finished for own in by_worker.values())
