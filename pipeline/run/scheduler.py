"""Shards on Ray actors: `ray.wait` over plain actors that are never restarted by Ray.

The scheduler counts attempts itself. A dead worker is replaced and its shards queued again; one
that takes too long is ended, and its shard cut in two.

A worker holds two shards, so that it can decode the next one and encode the last one while it
optimises. Which of the two has killed it is a guess, so both are then tried again alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.errors import BrokenWorker, describe
from pipeline.run.actor import IN_FLIGHT, Slot
from pipeline.run.attempts import DEATHS_PER_SHARD, Attempts
from pipeline.run.cluster import ray_for
from pipeline.run.pool import Pool
from pipeline.run.workers import Grown, Note, Ready, Workers
from pipeline.tables import Shard, ShardResult

TICK_S = 0.5


def run_on_ray(
    shards: Iterator[Shard],
    workers: Workers,
    address: str | None,
    ready: Ready,
    note: Note,
    grown: Grown = lambda count: None,
) -> Iterator[ShardResult | None]:
    """Explain the shards on actors; yields results as they come, None while waiting.

    address  see `ray_for`
    Raises RunError when workers do not start, die on every image, or have no place to be.
    """
    with ray_for(workers.count, workers.device, address, workers.gpu):
        scheduler = _Scheduler(shards, workers, ready, note, grown)
        try:
            yield from scheduler.run()
        finally:
            scheduler.pool.close()


class _Scheduler:
    def __init__(
        self, shards: Iterator[Shard], workers: Workers, ready: Ready, note: Note, grown: Grown
    ) -> None:
        self.attempts = Attempts(shards, workers.timeout)
        self.pool = Pool(workers, ready, note, grown)

    def run(self) -> Iterator[ShardResult | None]:
        self.pool.open()
        while True:
            self.pool.look()
            self._fill()
            if self.attempts.done and not any(slot.held for slot in self.pool.slots):
                return
            yield from self._collect()
            yield from self._end_overdue()

    def _fill(self) -> None:
        """Every ready actor gets one shard before any gets its second."""
        for depth in range(IN_FLIGHT):
            for slot in self.pool.slots:
                if slot.has_room(depth):
                    attempt = self.attempts.next(not slot.held)
                    if attempt is not None:
                        slot.give(attempt)

    def _collect(self) -> Iterator[ShardResult | None]:
        waiting = {ref: slot for slot in self.pool.slots for ref in slot.waits_for()}
        if not waiting:
            time.sleep(TICK_S)  # all places are about to go
            return
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=TICK_S)
        if not done:
            yield None
        for ref in done:
            yield from self._settle(ref, waiting[ref])

    def _settle(self, ref: Any, slot: Slot) -> Iterator[ShardResult]:
        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            yield from self._after_exception(ref, slot, error)
        except RayError as error:
            yield from self._after_death(slot, error)
        else:
            if ref in slot.held:
                attempt, seconds = slot.take(ref)
                yield from self.attempts.finished(attempt, answer, seconds)
            else:
                self.pool.answered(slot, ref, answer)

    def _after_exception(self, ref: Any, slot: Slot, error: RayTaskError) -> Iterator[ShardResult]:
        """The worker lives; what it raised is not an image's own error, so try once more."""
        cause = error.cause if isinstance(error.cause, Exception) else error
        if ref not in slot.held or isinstance(cause, BrokenWorker):
            yield from self._after_death(slot, cause)
        else:
            yield from self.attempts.blame(slot.take(ref)[0], describe(cause))

    def _after_death(
        self, slot: Slot, error: Exception, reason: str = "", deaths: int = 1
    ) -> Iterator[ShardResult]:
        """The shard that the actor was working on is probably the oldest one it held."""
        held = list(slot.held.values())
        to_blame = self.pool.bury(slot, error)
        for attempt in held[1:] if to_blame else held:
            self.attempts.put_back(attempt, suspected=to_blame)
        if not held or not to_blame:
            return
        if not reason:
            why = f": {describe(error)}" if isinstance(error, BrokenWorker) else ""
            reason = f"the worker process died at this image{why}"
        yield from self.attempts.blame(held[0], reason, deaths)

    def _end_overdue(self) -> Iterator[ShardResult]:
        """End workers that take too long; of several images those that do so are looked for."""
        for slot in list(self.pool.slots):
            if self.pool.overdue(slot):
                yield from self._after_death(slot, TimeoutError("not ready for half an hour"))
            elif slot.held:
                oldest = next(iter(slot.held.values()))
                limit = self.attempts.limit(oldest)
                if time.monotonic() - slot.since > limit:
                    reason = f"no result within {limit:.0f} s (--timeout)"
                    halve = DEATHS_PER_SHARD if len(oldest.shard.refs) > 1 else 1
                    error = TimeoutError(reason)
                    yield from self._after_death(slot, error, reason, halve)
