"""`xaipipe` alone: what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from jobs.console import Console

MANIFESTS = ("*.csv", "*.tsv", "*.jsonl", "*.parquet")
FEW = 3  # runs that are named


def show_next(console: Console, here: Path) -> None:
    """Print the next commands for the runs and manifests in a folder, or the first ones."""
    console.print("Explain what an image classifier looks at, for a whole dataset.")
    for title, commands in _steps(here):
        console.print(f"\n{title}", style="bold")
        for one in commands:
            console.print(f"  {one}")


def command(name: str, *arguments: str | None, options: str = "") -> str:
    """A command as it can be pasted into a shell; its arguments may hold anything."""
    given = [one for one in arguments if one is not None]
    dashes = ["--"] * any(one.startswith("-") for one in given)
    quoted = shlex.join([*dashes, *given])
    parts = (options, quoted) if dashes else (quoted, options)
    return " ".join(["xaipipe", name, *filter(None, parts)])


def runs_in(folder: Path) -> list[Path]:
    """Outputs of runs in a folder and in its folders, the latest first."""
    marks = [*folder.glob("*/_run/fingerprint.json"), *folder.glob("*/*/_run/fingerprint.json")]
    newest = sorted(marks, key=lambda mark: mark.stat().st_mtime, reverse=True)
    return [mark.parent.parent for mark in newest]


def _steps(here: Path) -> Iterator[tuple[str, list[str]]]:
    runs = [run.relative_to(here).as_posix() for run in runs_in(here)]
    for run in runs[:FEW]:
        commands = [command(name, run) for name in ("status", "show", "report")]
        yield f"What is in {run}", commands
    if not runs:
        yield "A first look, without data, about a minute", ["xaipipe demo"]
    found = next((p.name for kind in MANIFESTS for p in sorted(here.glob(kind))), "photos/")
    options = "--model torchvision:resnet50 --out out"
    both = [command(name, found, options=options) for name in ("plan", "run")]
    yield "Your own images: what would run, and running it", both
    yield "Everything else", ["xaipipe --help"]
