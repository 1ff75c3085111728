"""Progress of a run: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

import pipeline
from jobs.console import Console

EVERY_S = 5.0  # between two plain lines


@contextmanager
def progress(
    console: Console, doing: str = "explaining"
) -> Iterator[Callable[[pipeline.Progress], None]]:
    """A function to call with every Progress; `doing` is what is done to the images."""
    if console.json_log is not None:
        with console.json_log.progress(doing) as write:
            yield write
        return
    tell = _Notes(console)
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(doing, total=None, rest="")

            def draw(p: pipeline.Progress) -> None:
                tell(p)
                done = p.done_before + p.explained + p.failed
                bar.update(task, total=p.images, completed=done, rest=rest(p))

            yield draw
    else:
        lines = _Lines(console)

        def write(p: pipeline.Progress) -> None:
            tell(p)
            lines(p)

        yield write


def _bar(console: Console) -> Bar:
    return Bar(
        SpinnerColumn(console.spinner),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}", markup=False),
        TimeElapsedColumn(),
        console=console,
    )


class _Notes:
    """What workers have to say, a line for each, once."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.told = 0

    def __call__(self, p: pipeline.Progress) -> None:
        for note in p.notes[self.told :]:
            self.console.print(f"workers: {note}")
        self.told = len(p.notes)


class _Lines:
    """One plain line every few seconds, and one at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.next = 0.0

    def __call__(self, p: pipeline.Progress) -> None:
        done = p.done_before + p.explained + p.failed
        now = time.monotonic()
        if now >= self.next or done == p.images:
            self.console.print(f"{done} of {p.images} images · {rest(p)}")
            self.next = now + EVERY_S


def rest(p: pipeline.Progress) -> str:
    """Failures, images per second and time left, as far as they are known."""
    parts = [f"{p.failed} failed"] if p.failed else []
    if p.images_per_s is not None:
        left = (p.images - p.done_before - p.explained - p.failed) / p.images_per_s
        parts += [f"{p.images_per_s:.2f} images/s", f"{clock(left)} left"]
    elif p.done_before < p.images:
        parts.append(_beginning(p))
    return " · ".join(parts) or "nothing to do"


def _beginning(p: pipeline.Progress) -> str:
    """What a run does before its first commit."""
    if not p.ready:
        return f"waiting for {p.workers} worker{'s' * (p.workers > 1)}"
    some = f", {p.ready} of {p.workers} workers ready" if p.ready < p.workers else ""
    return f"first shards under way{some}"


def clock(seconds: float) -> str:
    """3725 -> 1:02:05."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
