"""What the commands of analyses share: where they run, their options, progress and conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import pipeline
import pipeline.run
from jobs.console import Console
from jobs.log import say_ended
from jobs.progress import clock, progress
from pipeline import analysis

HOW, AGAIN = "Where it runs", "Running again"

Gpus = Annotated[
    str | None,
    typer.Option(
        help="GPUs, a worker on each (default: all GPUs here); auto: as many as the cluster has, "
        "also those that come later.",
        metavar="N|auto",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="CPU workers, one thread each; 0 = in this process, without Ray (default: as for "
        "`run`; in this process where few images are pending).",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="A running Ray cluster (auto, HOST:PORT); default: one on this machine.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds for a shard, as for `run`.", rich_help_panel=HOW, show_default=False
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        help="Folder or URL of the images, if they have moved.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="Also try again what failed before.", rich_help_panel=AGAIN
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Discard what this command has made before, with other settings.",
        rich_help_panel=AGAIN,
    ),
]


def carry_out(works: Sequence[analysis.Analysis], console: Console) -> int:
    """Do what is pending of each; returns how many failures stand. An interrupt exits with 130."""
    needed = [work for work in works if work.workers]
    most = max(needed, key=lambda work: work.workers) if needed else works[0]
    failed = 0
    try:
        with pipeline.run.on_ray(most.workers, most.device, most.job.address):
            for work in works:
                with progress(console, f"{work.kind.name}: {work.store.uri}") as report:
                    summary = pipeline.run.run(work, report)
                failed += conclude(work, summary, console)
    except KeyboardInterrupt:
        console.print("interrupted: what was committed stays; the same command goes on from there")
        raise typer.Exit(130) from None
    return failed


def conclude(work: analysis.Analysis, summary: pipeline.Summary, console: Console) -> int:
    """Say what was done of an analysis; returns how many failures stand."""
    before = summary.done_before - summary.failed_before
    parts = [f"{summary.explained} images in {clock(summary.seconds)}"]
    parts += [f"{before} were done before"] * bool(before)
    parts += [f"{summary.failed} failed"] * bool(summary.failed)
    parts += [f"{summary.failed_before} failed before"] * bool(summary.failed_before)
    line = f"{work.kind.name} {work.store.uri}: {', '.join(parts)}"
    console.print(line)
    failed = summary.failed + summary.failed_before
    reasons = work.reasons() if failed else []
    say_ended(console, work.store.uri, reasons)
    if failed:
        for (stage, reason), count in reasons[:5]:
            console.print(f"  {count} x {stage}: {reason}")
        where = f"{work.store.uri}/{work.folder.layout.failures}"
        console.print(f"  see {where}; --retry-failed tries them again")
    return failed
