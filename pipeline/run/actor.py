"""Actors: workers in processes of their own, and the shards that they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.run.turns import Turns
from pipeline.run.workers import Worker
from pipeline.tables import Shard, ShardResult

IN_FLIGHT = 2  # shards an actor holds, and its threads: one for each


class Actor:
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
class Attempt:
    """A shard to explain; `alone` on its actor if it may have killed another one."""

    shard: Shard
    deaths: int = 0
    alone: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """One actor and what it holds, oldest first: the order of its calls' turns."""

    actor: Any
    starting: Any  # the reference of ready(), None afterwards
    given: int = 0  # shards so far
    held: dict[Any, Attempt] = field(default_factory=dict)

    def has_room(self, depth: int) -> bool:
        """Whether it is ready for one more, besides `depth` shards at the most."""
        alone = any(attempt.alone for attempt in self.held.values())
        return self.starting is None and len(self.held) <= depth and not alone

    def give(self, attempt: Attempt) -> None:
        """Have it explain a shard."""
        self.held[self.actor.explain.remote(attempt.shard, self.given)] = attempt
        self.given += 1
