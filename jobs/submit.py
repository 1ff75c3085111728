"""`xaipipe submit`: the same run as a Ray job on a cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import pipeline.run
from jobs.options import takes_job

if TYPE_CHECKING:
    from pipeline import Job


@takes_job
def submit(
    job: Job,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job and exit with its exit code.")
    ] = False,
) -> None:
    """Start the same run as a Ray job; --address is the cluster's dashboard, http://HEAD:8265.

    The job's driver runs on the cluster, where xaipipe must be installed; manifest, weights and
    output must be reachable from there (a shared disk or URLs).
    """
    submission = pipeline.run.Submission(job)
    console = Console()
    console.print(f"submitted {submission.name} to {job.address}", highlight=False)
    progress = f"progress: xaipipe status {job.out}"
    if not wait:
        console.print(progress, highlight=False)
        return
    try:
        raise typer.Exit(submission.follow(partial(console.out, end="", highlight=False)))
    except KeyboardInterrupt:
        console.print(f"no longer following; the job goes on, {progress}", highlight=False)
        raise typer.Exit(130) from None
