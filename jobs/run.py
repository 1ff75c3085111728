"""`xaipipe run`: the main job."""

from __future__ import annotations

from functools import partial

import typer

import pipeline
import pipeline.run
from jobs.console import Console
from jobs.log import logged, say_ended
from jobs.options import takes_job
from jobs.progress import clock, progress
from jobs.start import command


@logged
@partial(takes_job, announce=True)
def run(job: pipeline.Job) -> None:
    """Explain every image of a manifest and write masks and metadata as Parquet tables.

    The same command again goes on where the last one stopped, and explains only what is new when
    the manifest has grown.

    [bold]Examples[/] (the first one after `xaipipe demo`)

      xaipipe run xaipipe-demo/data/manifest.csv --model builtin:shapes --workers 1 --out out

      xaipipe run photos/ --model torchvision:resnet50 --out out

      xaipipe run photo.jpg --model timm:vit_small_patch16_224 --out out

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
            )
            for note in request.notes:
                console.print(f"note: {note}")
            with progress(console) as report:
                return pipeline.run.run(request, report)
    except KeyboardInterrupt:
        console.print("interrupted: what was committed stays; the same command goes on from there")
        raise typer.Exit(130) from None


def conclude(job: pipeline.Job, summary: pipeline.Summary, console: Console) -> None:
    """Say how it went and what to do next; exit code 3 as long as failures stand.

    RunError if nothing at all is explained, in this run or before.
    """
    reader = pipeline.read(str(job.out))
    reasons = reader.failure_reasons() if summary.failed or summary.failed_before else []
    say_ended(console, reader.store.uri, reasons)
    before = summary.done_before - summary.failed_before
    console.print(
        f"explained {summary.explained} images in {clock(summary.seconds)}"
        + (f", {before} were done before" if before else "")
        + (f", {summary.failed} failed" if summary.failed else "")
        + (f", {summary.failed_before} failed before" if summary.failed_before else ""),
    )
    code = summary.exit_code(job.accept_failures)
    if reasons:
        for (stage, reason), count in reasons[:5]:
            console.print(f"  {count} x {stage}: {reason}")
        console.print(f"  see {reader.store.uri}/failures; --retry-failed tries them again")
        if code == 1:
            (stage, reason), count = reasons[0]
            raise pipeline.RunError(
                f"no image at all could be explained; {count} of them: {stage}: {reason}"
            )
        if code:
            raise typer.Exit(code)
    for id_ in reader.ids(1):
        console.print(f"look at all: {command('report', job.out)}")
        console.print(f"look at one: {command('show', job.out, id_)}")


def _places(request: pipeline.Request) -> str:
    if request.workers == 0:
        return "in this process"
    if request.grow:
        return f"{request.workers} GPU worker{'s' * (request.workers > 1)}, more as GPUs come"
    kind = "GPU" if request.device == "cuda" else "CPU"
    return f"{request.workers} {kind} worker{'s' * (request.workers > 1)}"
