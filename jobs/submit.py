"""`xaipipe submit`: the same run as a Ray job on a cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

import pipeline.run
from jobs.console import Console
from jobs.options import takes_job
from jobs.start import command

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

    [bold]Example[/]

      xaipipe submit --config job.yaml --address http://head:8265 --wait
    """
    submission = pipeline.run.Submission(job)
    console = Console()
    console.print(f"submitted {submission.name} to {job.address}")
    progress = f"progress: {command('status', job.out)}"
    if not wait:
        console.print(progress)
        return
    try:
        raise typer.Exit(submission.follow(partial(console.print, end="")))
    except KeyboardInterrupt:
        console.print(f"no longer following; the job goes on, {progress}")
        raise typer.Exit(130) from None
