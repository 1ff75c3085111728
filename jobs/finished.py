"""A run that another command needs: carried out to its end, with its progress."""

from __future__ import annotations

from collections.abc import Callable

import pipeline
import pipeline.benchmark
import pipeline.run
from jobs.console import Console
from jobs.progress import progress


def finished(
    job: pipeline.Job,
    out: str,
    console: Console,
    spent: list[float] | None = None,
    look: Callable[[pipeline.run.Request], None] | None = None,
) -> tuple[pipeline.RunReader, int, int]:
    """The run in `out`, how many images it has explained now, and how many failures stand.

    spent  receives the processor seconds of each image, where they are known
    look   sees what is asked for, before anything is explained
    """
    with pipeline.run.prepared(job.model_copy(update={"out": out})) as request:
        if look is not None:
            look(request)
        workers = None if spent is None else pipeline.benchmark.clocked(request, spent)
        with progress(console) as report:
            summary = pipeline.run.run(request, report, workers)
    return pipeline.read(out), summary.explained, summary.failed + summary.failed_before
