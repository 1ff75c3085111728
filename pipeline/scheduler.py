"""Shards on Ray actors: `ray.wait` over plain actors that are never restarted by Ray.

The scheduler counts attempts itself. A dead worker is replaced and its shards queued again; a shard
that kills its worker twice is cut in two; an image that does so alone is set aside as a failure.

A worker holds two shards, so that it can decode the next one and encode the last one while it
optimises. Which of the two has killed it is a guess, so both are then tried again alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.cluster import ray_for
from pipeline.errors import BrokenWorker, ImageError, RunError, describe
from pipeline.records import failure_row
from pipeline.shard import Rows, Shard, ShardResult, shard_result
from pipeline.turns import Turn, Turns

IN_FLIGHT = 2  # shards an actor holds, and its threads: one for each
DEATHS_PER_SHARD = 2
FAILED_STARTS = 3  # workers in a row that never became ready
DEATHS_IN_A_ROW = 20  # workers in a row that died without any result in between
TICK_S = 0.5


class Worker(Protocol):
    """Explains shards.

    notes  what the user should know about it
    """

    notes: tuple[str, ...]

    def __call__(self, shard: Shard, turn: Turn | None = None) -> ShardResult:
        """Explain a shard; calls may overlap but for what they do in their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Who explains the shards.

    make    makes the worker of this name, in the process where it works
    count   of workers; 0 is one in this process, without Ray
    device  `cpu`, or `cuda` for one GPU each
    """

    make: Callable[[str], Worker]
    count: int
    device: str


def run_here(
    shards: Iterator[Shard], workers: Workers, tell: Callable[[str], None]
) -> Iterator[ShardResult | None]:
    """Explain the shards in this process, one after the other; no Ray.

    tell  is given the worker's notes
    """
    worker = workers.make("")
    for note in worker.notes:
        tell(note)
    for shard in shards:
        yield worker(shard)


def run_on_ray(
    shards: Iterator[Shard], workers: Workers, address: str | None, tell: Callable[[str], None]
) -> Iterator[ShardResult | None]:
    """Explain the shards on actors; yields results as they come, None while waiting.

    address  see `ray_for`
    tell     is given the notes of every worker that has started
    Raises RunError when workers do not start or die one after the other.
    """
    with ray_for(workers.count, workers.device, address):
        scheduler = _Scheduler(shards, workers, tell)
        try:
            yield from scheduler.run()
        finally:
            scheduler.stop()


class _Actor:
    """A worker in a process of its own; its calls run in threads."""

    def __init__(self, make: Callable[[str], Worker], name: str) -> None:
        self.worker = make(name)
        self.turns = Turns()

    def ready(self) -> tuple[str, ...]:
        """Returns the worker's notes once it is made."""
        return self.worker.notes

    def explain(self, shard: Shard, number: int) -> ShardResult:
        """Calls take turns by number, counted from 0: Ray may start them in another order."""
        turn = self.turns.of(number)
        try:
            return self.worker(shard, turn)
        finally:
            turn.pass_by()


@dataclass(slots=True)
class _Attempt:
    """A shard to explain; `alone` on its actor if it may have killed another one."""

    shard: Shard
    deaths: int = 0
    alone: bool = False


@dataclass(slots=True, eq=False)
class _Slot:
    """One actor and what it holds, oldest first: the order of its calls' turns."""

    actor: Any
    starting: Any  # the reference of ready(), None afterwards
    given: int = 0  # shards so far
    held: dict[Any, _Attempt] = field(default_factory=dict)

    def has_room(self, depth: int) -> bool:
        alone = any(attempt.alone for attempt in self.held.values())
        return self.starting is None and len(self.held) <= depth and not alone

    def give(self, attempt: _Attempt) -> None:
        self.held[self.actor.explain.remote(attempt.shard, self.given)] = attempt
        self.given += 1


class _Scheduler:
    def __init__(
        self, shards: Iterator[Shard], workers: Workers, tell: Callable[[str], None]
    ) -> None:
        self.shards = shards
        self.tell = tell
        self.exhausted = False
        self.again: deque[_Attempt] = deque()
        self.workers = workers
        self.slots: list[_Slot] = []
        self.started = 0
        self.failed_starts = 0
        self.deaths_in_a_row = 0
        gpus = 1 if workers.device == "cuda" else 0
        remote: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self.actor_class = remote(_Actor).options(max_concurrency=IN_FLIGHT)

    def run(self) -> Iterator[ShardResult | None]:
        for _ in range(self.workers.count):
            self._start()
        while True:
            self._fill()
            if self.exhausted and not self.again and not any(s.held for s in self.slots):
                return
            yield from self._collect()

    def stop(self) -> None:
        for slot in self.slots:
            ray.kill(slot.actor)

    def _start(self) -> None:
        actor = self.actor_class.remote(self.workers.make, f"worker-{self.started}")
        self.started += 1
        self.slots.append(_Slot(actor, actor.ready.remote()))

    def _next(self, idle: bool) -> _Attempt | None:
        """What was tried before goes first, but to idle actors only."""
        if idle and self.again:
            return self.again.popleft()
        shard = next(self.shards, None)
        if shard is None:
            self.exhausted = True
            return None
        return _Attempt(shard)

    def _fill(self) -> None:
        """Every ready actor gets one shard before any gets its second."""
        for depth in range(IN_FLIGHT):
            for slot in self.slots:
                if slot.has_room(depth):
                    attempt = self._next(not slot.held)
                    if attempt is not None:
                        slot.give(attempt)

    def _collect(self) -> Iterator[ShardResult | None]:
        waiting = {ref: slot for slot in self.slots for ref in slot.held}
        waiting |= {slot.starting: slot for slot in self.slots if slot.starting is not None}
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=TICK_S)
        if not done:
            yield None
        for ref in done:
            yield from self._settle(ref, waiting[ref])

    def _settle(self, ref: Any, slot: _Slot) -> Iterator[ShardResult]:
        try:
            result = ray.get(ref)
        except RayTaskError as error:
            yield from self._after_exception(ref, slot, error)
        except RayError as error:
            yield from self._after_death(slot, error)
        else:
            if ref == slot.starting:
                slot.starting = None
                self.failed_starts = 0
                for note in result:
                    self.tell(note)
            else:
                del slot.held[ref]
                self.deaths_in_a_row = 0
                yield result

    def _after_exception(self, ref: Any, slot: _Slot, error: RayTaskError) -> Iterator[ShardResult]:
        """The worker lives; what it raised is not an image's own error, so try once more."""
        cause = error.cause if isinstance(error.cause, Exception) else error
        if ref == slot.starting or isinstance(cause, BrokenWorker):
            yield from self._after_death(slot, error)
        else:
            yield from self._blame(slot.held.pop(ref), describe(cause))

    def _after_death(self, slot: _Slot, error: Exception) -> Iterator[ShardResult]:
        """Replace the actor; the shard it was working on is probably the oldest one it held."""
        self.slots.remove(slot)
        ray.kill(slot.actor)  # an unreachable actor must not go on in secret
        held = list(slot.held.values())
        for attempt in held[1:]:
            self._try_again(attempt)
        self._count(slot, error)
        if held:
            yield from self._blame(held[0], "the worker process died while explaining this image")
        self._start()

    def _try_again(self, attempt: _Attempt) -> None:
        attempt.alone = True
        self.again.append(attempt)

    def _count(self, slot: _Slot, error: Exception) -> None:
        if slot.starting is not None:
            self.failed_starts += 1
            if self.failed_starts >= FAILED_STARTS:
                raise RunError(f"{FAILED_STARTS} workers in a row did not start: {_last(error)}")
        self.deaths_in_a_row += 1
        if self.deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise RunError(
                f"{DEATHS_IN_A_ROW} workers in a row died without a result: {_last(error)}"
            )

    def _blame(self, attempt: _Attempt, reason: str) -> Iterator[ShardResult]:
        attempt.deaths += 1
        shard = attempt.shard
        if attempt.deaths < DEATHS_PER_SHARD:
            self._try_again(attempt)
        elif len(shard.refs) > 1:
            half = len(shard.refs) // 2
            self._try_again(_Attempt(Shard(shard.refs[:half], shard.salt)))
            self._try_again(_Attempt(Shard(shard.refs[half:], shard.salt)))
        else:
            yield set_aside(shard, reason)


def set_aside(shard: Shard, reason: str) -> ShardResult:
    """A result in which every image of the shard failed."""
    started = time.monotonic()
    error = ImageError("worker", f"{reason} ({DEATHS_PER_SHARD} times)")
    rows = Rows(failures=[failure_row(ref, error) for ref in shard.refs])
    return shard_result(shard, rows, {}, time.monotonic() - started, "driver")


def _last(error: Exception) -> str:
    """The line of Ray's long messages that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
