"""Actors: workers in processes of their own, and the shards that they hold."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.manifest import ImageRef
from pipeline.run.turns import Turns
from pipeline.run.workers import Worker
from pipeline.tables import Shard, ShardResult

IN_FLIGHT = 2  # shards an actor holds, and its threads: one for each
PROBE_SIDE = 64  # pixels of our own image


class Actor:
    """A worker in a process of its own; its calls run in threads.

    It is made quickly, so that Ray finds a node for it; the worker comes with `ready`.
    """

    def node(self) -> str:
        """The id of the node that it has been given."""
        import ray

        self.turns = Turns()
        return str(ray.get_runtime_context().get_node_id())

    def ready(
        self,
        make: Callable[..., Worker],
        name: str,
        change: Mapping[str, Any],
        files: Mapping[str, Any] | None = None,
        path: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """Makes the worker; returns its notes.

        files  that it reads, by URI, as arrays of bytes in the memory of its node
        path   the driver's, from which it can import; what this node has installed comes first
        """
        sys.path.extend(folder for folder in path if folder not in sys.path)
        if files is None:
            self.worker = make(name, **change)
        else:
            from pipeline.run.cluster import held

            with held(files) as places:
                self.worker = make(name, files=places, **change)
        return self.worker.notes

    def explain(self, shard: Shard, number: int) -> ShardResult:
        """Calls take turns by number, counted from 0: Ray may start them in another order."""
        turn = self.turns.of(number)
        try:
            return self.worker(shard, turn)
        finally:
            turn.pass_by()

    def probe(self, shard: Shard, number: int) -> ShardResult:
        """Explains an image of ours, with which nothing can be wrong."""
        from PIL import Image

        with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder:
            path = os.path.join(folder, "probe.png")
            Image.linear_gradient("L").resize((PROBE_SIDE, PROBE_SIDE)).convert("RGB").save(path)
            ref = ImageRef(id="probe", image=path, target=None, extra={})
            return self.explain(Shard((ref,)), number)


@dataclass(slots=True)
class Attempt:
    """A shard to explain; `alone` on its actor if it may have killed another one.

    probe  an image of ours instead, whose result only says that the worker is sound
    """

    shard: Shard
    deaths: int = 0
    alone: bool = False
    probe: bool = False


@dataclass(slots=True, eq=False)
class Place:
    """Where workers work one after the other: a replacement takes the place of a dead one.

    failed  starts in a row; change: how its workers are made differently (`BrokenWorker.change`)
    """

    failed: int = 0
    change: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Slot:
    """One actor and what it holds, oldest first: the order of its calls' turns.

    placed, starting  the references of node() and ready(), None once they are answered
    since             when it began what it is at: waiting for a node, starting, its oldest shard
    leaving           it gets nothing more: its node is about to go
    """

    place: Place
    actor: Any
    placed: Any
    starting: Any
    node: str | None = None
    since: float = field(default_factory=time.monotonic)
    leaving: bool = False
    given: int = 0  # shards so far
    held: dict[Any, Attempt] = field(default_factory=dict)

    def has_room(self, depth: int) -> bool:
        """Whether it is ready for one more, besides `depth` shards at the most."""
        alone = any(attempt.alone for attempt in self.held.values())
        return self.starting is None and not self.leaving and len(self.held) <= depth and not alone

    def give(self, attempt: Attempt) -> None:
        """Have it explain a shard."""
        if not self.held:
            self.since = time.monotonic()
        call = self.actor.probe if attempt.probe else self.actor.explain
        self.held[call.remote(attempt.shard, self.given)] = attempt
        self.given += 1

    def take(self, ref: Any) -> tuple[Attempt, float]:
        """What is no longer held, and the seconds that it took as the oldest one."""
        seconds, self.since = time.monotonic() - self.since, time.monotonic()
        return self.held.pop(ref), seconds

    def waits_for(self) -> list[Any]:
        """References of what it owes."""
        start = self.placed or self.starting
        return [*self.held, *([] if start is None else [start])]
