"""Shards on Ray actors: `ray.wait` over plain actors that are never restarted by Ray.

The scheduler counts attempts itself. A dead worker is replaced and its shards queued again; a shard
that kills its worker twice is cut in two; an image that does so alone is set aside as a failure.

A worker holds two shards, so that it can decode the next one and encode the last one while it
optimises. Which of the two has killed it is a guess, so both are then tried again alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.errors import BrokenWorker, ImageError, RunError, describe
from pipeline.run.actor import IN_FLIGHT, Actor, Attempt, Slot
from pipeline.run.cluster import ray_for
from pipeline.run.workers import Ready, Workers
from pipeline.tables import Rows, Shard, ShardResult, failure_row, shard_result

DEATHS_PER_SHARD = 2
FAILED_STARTS = 3  # workers in a row that never became ready
DEATHS_IN_A_ROW = 20  # workers in a row that died without any result in between
TICK_S = 0.5


def run_on_ray(
    shards: Iterator[Shard], workers: Workers, address: str | None, ready: Ready
) -> Iterator[ShardResult | None]:
    """Explain the shards on actors; yields results as they come, None while waiting.

    address  see `ray_for`
    Raises RunError when workers do not start or die one after the other.
    """
    with ray_for(workers.count, workers.device, address):
        scheduler = _Scheduler(shards, workers, ready)
        try:
            yield from scheduler.run()
        finally:
            scheduler.stop()


class _Scheduler:
    def __init__(self, shards: Iterator[Shard], workers: Workers, ready: Ready) -> None:
        self.shards = shards
        self.ready = ready
        self.exhausted = False
        self.again: deque[Attempt] = deque()
        self.workers = workers
        self.slots: list[Slot] = []
        self.started = 0
        self.failed_starts = 0
        self.deaths_in_a_row = 0
        gpus = 1 if workers.device == "cuda" else 0
        remote: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self.actor_class = remote(Actor).options(max_concurrency=IN_FLIGHT)

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
        self.slots.append(Slot(actor, actor.ready.remote()))

    def _next(self, idle: bool) -> Attempt | None:
        """What was tried before goes first, but to idle actors only."""
        if idle and self.again:
            return self.again.popleft()
        shard = next(self.shards, None)
        if shard is None:
            self.exhausted = True
            return None
        return Attempt(shard)

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

    def _settle(self, ref: Any, slot: Slot) -> Iterator[ShardResult]:
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
                self.ready(result)
            else:
                del slot.held[ref]
                self.deaths_in_a_row = 0
                yield result

    def _after_exception(self, ref: Any, slot: Slot, error: RayTaskError) -> Iterator[ShardResult]:
        """The worker lives; what it raised is not an image's own error, so try once more."""
        cause = error.cause if isinstance(error.cause, Exception) else error
        if ref == slot.starting or isinstance(cause, BrokenWorker):
            yield from self._after_death(slot, error)
        else:
            yield from self._blame(slot.held.pop(ref), describe(cause))

    def _after_death(self, slot: Slot, error: Exception) -> Iterator[ShardResult]:
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

    def _try_again(self, attempt: Attempt) -> None:
        attempt.alone = True
        self.again.append(attempt)

    def _count(self, slot: Slot, error: Exception) -> None:
        if slot.starting is not None:
            self.failed_starts += 1
            if self.failed_starts >= FAILED_STARTS:
                raise RunError(f"{FAILED_STARTS} workers in a row did not start: {_last(error)}")
        self.deaths_in_a_row += 1
        if self.deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise RunError(
                f"{DEATHS_IN_A_ROW} workers in a row died without a result: {_last(error)}"
            )

    def _blame(self, attempt: Attempt, reason: str) -> Iterator[ShardResult]:
        attempt.deaths += 1
        shard = attempt.shard
        if attempt.deaths < DEATHS_PER_SHARD:
            self._try_again(attempt)
        elif len(shard.refs) > 1:
            half = len(shard.refs) // 2
            self._try_again(Attempt(Shard(shard.refs[:half], shard.salt)))
            self._try_again(Attempt(Shard(shard.refs[half:], shard.salt)))
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
