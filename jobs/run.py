"""`xaipipe run`: the main job."""

from __future__ import annotations

from functools import partial

import typer
from rich.console import Console

import pipeline
import pipeline.run
from jobs.options import takes_job
from jobs.progress import clock, progress


@partial(takes_job, announce=True)
def run(job: pipeline.Job) -> None:
    """Explain every image of a manifest and write masks and metadata as Parquet tables.

    The same command again goes on where the last one stopped, and explains only what is new when
    the manifest has grown.

    [bold]Examples[/]

      xaipipe run photos/ --model torchvision:resnet50 --out out

      xaipipe run s3://bucket/val.parquet --gpus 8 --out s3://bucket/masks --rounds 2
    """
    console = Console()
    summary = execute(job, console)
    conclude(job, summary, console)


def execute(job: pipeline.Job, console: Console) -> pipeline.Summary:
    """Run the job under a progress display; an interrupt exits with 130."""
    try:
        with pipeline.run.prepared(job) as request:
            console.print(
                f"{request.images} images · {job.model} · {_places(request)} · {job.out}",
                highlight=False,
            )
            with progress(console) as report:
                return pipeline.run.run(request, report)
    except KeyboardInterrupt:
        console.print("interrupted: what was committed stays; the same command goes on from there")
        raise typer.Exit(130) from None


def conclude(job: pipeline.Job, summary: pipeline.Summary, console: Console) -> None:
    """Say how it went and what to do next; exit code 3 if images failed."""
    reader = pipeline.read(str(job.out))
    console.print(
        f"explained {summary.explained} images in {clock(summary.seconds)}"
        + (f", {summary.done_before} were done before" if summary.done_before else "")
        + (f", {summary.failed} failed" if summary.failed else ""),
        highlight=False,
    )
    if summary.failed:
        for (stage, reason), count in reader.failure_reasons()[:5]:
            console.print(f"  {count} x {stage}: {reason}", markup=False, highlight=False)
        console.print(f"  see {reader.store.uri}/failures; --retry-failed tries them again")
        raise typer.Exit(3)
    first = reader.images.head(1, columns=["id"]).to_pylist()
    if first:
        console.print(f"look at one: xaipipe show {job.out} {first[0]['id']}", highlight=False)


def _places(request: pipeline.Request) -> str:
    if request.workers == 0:
        return "in this process"
    kind = "GPU" if request.device == "cuda" else "CPU"
    return f"{request.workers} {kind} worker{'s' * (request.workers > 1)}"
