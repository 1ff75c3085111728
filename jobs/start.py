"""`xaipipe` alone: what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

MANIFESTS = ("*.csv", "*.tsv", "*.jsonl", "*.parquet")
FEW = 3  # runs that are named


def show_next(console: Console, here: Path) -> None:
    """Print the next commands for the runs and manifests in a folder, or the first ones."""
    console.print(
        "Explain what an image classifier looks at, for a whole dataset.", highlight=False
    )
    for title, commands in _steps(here):
        console.print(f"\n{title}", style="bold", markup=False, highlight=False)
        for command in commands:
            console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def runs_in(folder: Path) -> list[Path]:
    """Outputs of runs in a folder and in its folders, the latest first."""
    marks = [*folder.glob("*/_run/fingerprint.json"), *folder.glob("*/*/_run/fingerprint.json")]
    newest = sorted(marks, key=lambda mark: mark.stat().st_mtime, reverse=True)
    return [mark.parent.parent for mark in newest]


def _steps(here: Path) -> Iterator[tuple[str, list[str]]]:
    runs = [run.relative_to(here).as_posix() for run in runs_in(here)]
    for run in runs[:FEW]:
        commands = [f"xaipipe {name} {shlex.quote(run)}" for name in ("status", "show", "report")]
        yield f"What is in {run}", commands
    if not runs:
        yield "A first look, without data, about a minute", ["xaipipe demo"]
    found = next((p.name for kind in MANIFESTS for p in sorted(here.glob(kind))), "photos/")
    job = f"{shlex.quote(found)} --model torchvision:resnet50 --out out"
    both = [f"xaipipe plan {job}", f"xaipipe run {job}"]
    yield "Your own images: what would run, and running it", both
    yield "Everything else", ["xaipipe --help"]
