"""Processor time of explaining, without starting: what a method costs on any busy machine."""

from __future__ import annotations

import time

from pipeline.run import Request, Turn, Worker, Workers
from pipeline.tables import Shard, ShardResult


class Clocked:
    """A worker in this process, whose processor seconds are added up in `spent`."""

    def __init__(self, worker: Worker, spent: list[float]) -> None:
        self.worker, self.notes, self.spent = worker, worker.notes, spent

    def __call__(self, shard: Shard, turn: Turn | None = None) -> ShardResult:
        """Of the wrapped worker."""
        started = time.process_time()
        try:
            return self.worker(shard, turn)
        finally:
            self.spent.append(time.process_time() - started)


def clocked(request: Request, spent: list[float]) -> Workers | None:
    """The request's worker with a clock; None (the usual ones) where it is not in this process."""
    if request.workers or request.device != "cpu":
        return None
    plan = request.plan(request.committed())

    def make(*given: object, **changes: object) -> Clocked:
        return Clocked(request.make(plan)(*given, **changes), spent)

    return Workers(make=make, count=0, device=request.device)
