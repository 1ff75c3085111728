"""Attempts: which shard is tried next, and who is to blame when a worker dies.

A shard that kills its worker twice is cut in two; an image that does so alone is set aside as a
failure, however many there are. Where deaths come without any result in between, an image of ours
tells whether the images are to blame or the classifier.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from pipeline.errors import ImageError, RunError
from pipeline.run.actor import Attempt
from pipeline.tables import Shard, ShardResult, failed_result, failure_row

DEATHS_PER_SHARD = 2
SUSPECT = 2  # deaths without a result in between, after which an image of ours is tried
PATIENCE = 4  # times as many after it has been explained
KILLERS = 20  # different images that kill, before any has been explained, end the run
FIRST_S = 3600.0  # for a shard while none has been finished
LEAST_S = 300.0  # for a shard afterwards, at least
TIMES = 20.0  # as long as the slowest so far


class Attempts:
    """Hands shards out; takes results, deaths and other failures back.

    explained  whether any image has been, by this run
    """

    def __init__(self, shards: Iterator[Shard], timeout: float | None) -> None:
        self.shards = shards
        self.timeout = timeout
        self.again: deque[Attempt] = deque()
        self.probe: Attempt | None = None  # waiting or under way
        self.probing = False
        self.exhausted = False
        self.explained = False
        self.suspicion, self.suspect = 0, SUSPECT
        self.killers = 0
        self.slowest = 0.0  # seconds an image

    @property
    def done(self) -> bool:
        """Whether nothing is left to hand out."""
        return self.exhausted and not self.again and self.probe is None

    def next(self, idle: bool) -> Attempt | None:
        """What was tried before goes first, but to idle workers only; in doubt it has to wait."""
        if self.probe is not None:
            if idle and not self.probing:
                self.probing = True
                return self.probe
            if not self.explained:
                return None
        elif idle and self.again:
            return self.again.popleft()
        shard = next(self.shards, None)
        if shard is None:
            self.exhausted = True
            return None
        return Attempt(shard)

    def finished(
        self, attempt: Attempt, result: ShardResult, seconds: float
    ) -> Iterator[ShardResult]:
        """A worker has answered."""
        if attempt.probe:
            self.suspect *= PATIENCE
            self._trust()
            return
        self.slowest = max(self.slowest, seconds / len(attempt.shard.refs))
        if result.commit.explained:
            self.explained = True
            if not self.probing:
                self._trust()
        yield result

    def put_back(self, attempt: Attempt, *, suspected: bool) -> None:
        """To be tried again; alone if it may have killed its worker."""
        attempt.alone |= suspected
        if attempt.probe:
            self.probing = False
        else:
            self.again.append(attempt)

    def blame(self, attempt: Attempt, reason: str, deaths: int = 1) -> Iterator[ShardResult]:
        """A worker has died or failed on it. RunError if the classifier is to blame."""
        attempt.deaths += deaths
        if attempt.probe:
            self._blame_probe(attempt, reason)
            return
        self._suspect()
        refs = attempt.shard.refs
        if attempt.deaths < DEATHS_PER_SHARD:
            self.put_back(attempt, suspected=True)
        elif len(refs) > 1:
            half = len(refs) // 2
            for part in (refs[:half], refs[half:]):
                self.put_back(Attempt(replace(attempt.shard, refs=part)), suspected=True)
        else:
            self._count_killer(reason)
            yield set_aside(attempt.shard, reason)

    def limit(self, attempt: Attempt) -> float:
        """Seconds that it may take."""
        if self.timeout is not None:
            return self.timeout
        if not self.slowest:
            return FIRST_S
        return max(LEAST_S, TIMES * self.slowest * len(attempt.shard.refs))

    def _trust(self) -> None:
        self.suspicion = 0
        self.probe, self.probing = None, False

    def _suspect(self) -> None:
        self.suspicion += 1
        if self.suspicion >= self.suspect and self.probe is None:
            self.probe = Attempt(Shard(()), alone=True, probe=True)

    def _blame_probe(self, attempt: Attempt, reason: str) -> None:
        if attempt.deaths >= DEATHS_PER_SHARD:
            raise RunError(
                f"the classifier is broken: {self.suspicion} attempts failed without a result in "
                f"between, and so did {attempt.deaths} on an image of ours: {reason}"
            )
        self.probing = False

    def _count_killer(self, reason: str) -> None:
        self.killers += 1
        if self.killers >= KILLERS and not self.explained:
            raise RunError(
                f"the first {KILLERS} images that were tried alone all failed twice, and none was "
                f"explained: {reason}"
            )


def set_aside(shard: Shard, reason: str) -> ShardResult:
    """A result in which every image of the shard failed."""
    started = time.monotonic()
    error = ImageError("worker", f"{reason} ({DEATHS_PER_SHARD} times)")
    rows = [failure_row(ref, error) for ref in shard.refs]
    return failed_result(shard, rows, time.monotonic() - started, "driver")
