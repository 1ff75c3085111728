"""Workers: what explains or analyses shards, here or on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.run.turns import Turn
from pipeline.tables import Shard, ShardResult

Ready = Callable[[tuple[str, ...]], None]  # called with the notes of each worker that is ready
Note = Callable[[str], None]  # called with what else the user should know, perhaps repeatedly
Grown = Callable[[int], None]  # called with the number of workers where it has grown


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
             `BrokenWorker.change` where one has died; `files` says where the files lie, if any
    count    of workers; 0 is one in this process, without Ray
    device   `cpu`, or `cuda` for a GPU each, or the share `gpu` of one
    timeout  seconds for a shard, and without any worker; None: as long as seems reasonable
    grow     there are more as soon as the cluster has more GPUs
    files    that every worker reads, by URI: they reach a node once
    """

    make: Callable[..., Worker]
    count: int
    device: str
    timeout: float | None = None
    gpu: float = 1.0
    grow: bool = False
    files: tuple[str, ...] = ()


def run_here(
    shards: Iterator[Shard], workers: Workers, ready: Ready
) -> Iterator[ShardResult | None]:
    """Explain the shards in this process, one after the other; no Ray."""
    worker = workers.make("")
    ready(worker.notes)
    for shard in shards:
        yield worker(shard)
