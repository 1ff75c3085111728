"""`xaipipe submit`: the same run as a Ray job on a cluster."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

import pipeline
import pipeline.submission
from jobs.console import Console
from jobs.log import logged
from jobs.options import takes_job
from jobs.start import command


@logged
@partial(takes_job, announce=True)
def submit(
    job: pipeline.Job,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--detach",
            help="Follow the job and exit with its exit code, or leave it alone.",
        ),
    ] = False,
) -> None:
    """Start the same run as a Ray job; --address is the cluster's dashboard, HEAD:8265.

    What is on this machine is looked at first. Job file, manifest, weights, baseline and the code
    of a python: classifier are sent along, up to 256 MB; images and output must be reachable from
    the cluster (URLs, a shared disk), on which xaipipe is installed. No credentials are sent.

    The job runs on when nobody follows it. Submitting it again resumes it.

    [bold]Example[/]

      xaipipe submit --config job.yaml --address head:8265 --wait
    """
    console = Console()
    manifest = pipeline.submission.check_here(job)
    with pipeline.submission.packed(job, manifest) as package:
        for note in package.notes:
            console.print(f"note: {note}")
        log_format = "text" if console.json_log is None else "json"
        submission = pipeline.submission.Submission(job, package, log_format=log_format)
    sent = f" with {', '.join(package.sent)}" if package.sent else ""
    console.print(f"submitted {submission.name} to {submission.address}{sent}")
    show_commands(job, submission, console)
    if not wait:
        return
    write = partial(console.print, end="") if console.json_log is None else console.json_log.pass_on
    try:
        raise typer.Exit(submission.follow(write))
    except KeyboardInterrupt:
        console.print("no longer following; the job goes on")
        show_commands(job, submission, console)
        raise typer.Exit(130) from None


def show_commands(
    job: pipeline.Job, submission: pipeline.submission.Submission, console: Console
) -> None:
    """What to do with a job that runs."""
    for what, how in (
        ("progress", command("status", job.out)),
        ("follow", submission.command("logs", "--follow")),
        ("cancel", submission.command("stop")),
        ("resume", "the same `xaipipe submit` again"),
    ):
        console.print(f"  {what + ':':10}{how}")
