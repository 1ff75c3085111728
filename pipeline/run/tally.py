"""The tally of a run: what it has explained, and at which rate."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass

from pipeline.run.work import Plan
from pipeline.tables import ShardResult

FAILURES_IN_A_ROW = 100  # and nothing explained: something is wrong with more than the images


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: images in all, done before it, explained and failed by it, seconds.

    failed_before of those done before: they failed, and are not tried again
    notes         what its workers have to say, each once
    workers       that it has, and how many of them have been ready
    images_per_s  since the first commit, without the start; None before it
    """

    images: int
    done_before: int
    explained: int
    failed: int
    seconds: float
    failed_before: int = 0
    notes: tuple[str, ...] = ()
    workers: int = 0
    ready: int = 0
    images_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Progress):
    """How a run ended: `finished`, `interrupted` or `stopped`; `finished` is epoch seconds."""

    state: str
    finished: float

    def exit_code(self, accept_failures: bool) -> int:
        """0: no failure stands; 3: some do; 1: stopped, or nothing is explained; 130: interrupted.

        accept_failures  failures that stand are none
        """
        if self.state != "finished":
            return 130 if self.state == "interrupted" else 1
        if not (self.failed or self.failed_before):
            return 0
        if not self.explained and self.done_before == self.failed_before:
            return 1
        return 0 if accept_failures else 3


@dataclass(slots=True)
class Tally:
    """Counts results as they come.

    in_a_row     images that have failed since a commit with an explained one
    first, last  when there was a commit, and images worked on by then
    """

    plan: Plan
    workers: int
    explained: int = 0
    failed: int = 0
    in_a_row: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)
    notes: list[str] = dataclasses.field(default_factory=list)
    ready: int = 0
    began: float = 0.0
    first: tuple[float, int] | None = None
    last: tuple[float, int] | None = None

    def begin(self, notes: tuple[str, ...]) -> None:
        """A worker is ready."""
        for note in notes:
            self.note(note)
        self.began = self.began or time.monotonic()
        self.ready = min(self.workers, self.ready + 1)  # replacements do not count

    def grown(self, workers: int) -> None:
        """There are so many workers now."""
        self.workers = workers

    def note(self, text: str) -> None:
        """Something that the user should know."""
        if text not in self.notes:
            self.notes.append(text)

    def add(self, result: ShardResult) -> None:
        """A shard is committed."""
        for note in result.notes:
            self.note(note)
        self.explained += len(result.commit.explained)
        self.failed += len(result.commit.failed)
        self.in_a_row = 0 if result.commit.explained else self.in_a_row + len(result.commit.failed)
        self.last = time.monotonic(), self.explained + self.failed
        self.first = self.first or self.last

    def progress(self) -> Progress:
        """So far."""
        return Progress(
            images=self.plan.images,
            done_before=self.plan.images - self.plan.pending,
            explained=self.explained,
            failed=self.failed,
            seconds=time.monotonic() - self.started,
            failed_before=self.plan.images - self.plan.pending - self.plan.done,
            notes=tuple(self.notes),
            workers=self.workers,
            ready=self.ready,
            images_per_s=self._rate(),
        )

    def summary(self, state: str) -> Summary:
        """At the end."""
        counts = dataclasses.asdict(self.progress())
        return Summary(state=state, finished=time.time(), **counts)

    def _rate(self) -> float | None:
        """Between the first commit and the last; of a single one since a worker was ready."""
        if self.first is None or self.last is None:
            return None
        since, before = self.first if self.last[1] > self.first[1] else (self.began, 0)
        return (self.last[1] - before) / max(1e-9, self.last[0] - since)


def too_many_failed(most: int | float | None, tally: Tally) -> bool:
    """Whether so many images in a row have failed that the run must not go on.

    most  a count, or a share of all images; None: a count that holds until one is explained
    """
    if most is None:
        none = not (tally.plan.done or tally.explained)
        return none and tally.in_a_row >= FAILURES_IN_A_ROW
    limit = most if isinstance(most, int) else math.ceil(most * tally.plan.images)
    return tally.in_a_row >= limit
