"""Workers: what explains or analyses shards, here or on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.run.turns import Turn
from pipeline.tables import Shard, ShardResult

Ready = Callable[[tuple[str, ...]], None]  # called with the notes of each worker that is ready
Note = Callable[[str], None]  # called with what else the user should know, perhaps repeatedly


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

    make     makes the worker of this name, in the process where it works; with keywords as in
             `BrokenWorker.change` where one has died
    count    of workers; 0 is one in this process, without Ray
    device   `cpu`, or `cuda` for one GPU each
    timeout  seconds for a shard, and without any worker; None: as long as seems reasonable
    """

    make: Callable[..., Worker]
    count: int
    device: str
    timeout: float | None = None


def run_here(
    shards: Iterator[Shard], workers: Workers, ready: Ready
) -> Iterator[ShardResult | None]:
    """Explain the shards in this process, one after the other; no Ray."""
    worker = workers.make("")
    ready(worker.notes)
    for shard in shards:
        yield worker(shard)
