"""What the commands of analyses share: progress and conclusion."""

from __future__ import annotations

from collections.abc import Sequence

import typer

import pipeline
import pipeline.run
from jobs.console import Console
from jobs.log import say_ended
from jobs.progress import clock, progress
from pipeline import analysis


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
