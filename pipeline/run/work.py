"""Kinds of work: what the driver, the scheduler and the workers have in common for all of them.

Explaining is one (`plan.Request`), an analysis of a finished run another (`pipeline.analysis`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.run.workers import Worker
from pipeline.store import Committed, RunFolder, Store
from pipeline.tables import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the work would be.

    images   in all: rows of the manifest that are asked for, or images of a finished run
    done     of these, done already; failed: set aside by earlier drivers
    pending  to be done now, in `shards` shards of at most `shard_size` images
    workers  actors, 0 = in this process; device `cpu` or `cuda`
    """

    images: int
    done: int
    failed: int
    pending: int
    shards: int
    shard_size: int
    workers: int
    device: str


class Terms(Protocol):
    """On which terms work is done; a `Job` has them."""

    @property
    def address(self) -> str | None:
        """Of the Ray cluster; see `ray_for`."""

    @property
    def timeout(self) -> float | None:
        """See `Workers`."""

    @property
    def retry_failed(self) -> bool:
        """Whether what failed before is tried again."""

    @property
    def overwrite(self) -> bool:
        """Whether to discard what is there."""

    @property
    def max_failures(self) -> int | float | None:
        """See `too_many_failed`."""


class Work(Protocol):
    """Work on images that the driver commits shard by shard.

    store, folder  where; None: nowhere, so that it can only be planned
    fingerprint    what decides the tables: with another one the work is refused
    device         `cpu`, or `cuda` for one GPU each
    workers        actors on Ray; 0: in this process
    """

    fingerprint: dict[str, Any]
    device: str
    workers: int

    @property
    def job(self) -> Terms:
        """On which terms."""

    @property
    def store(self) -> Store | None:
        """The output."""

    @property
    def folder(self) -> RunFolder | None:
        """Its fingerprint, plans and commits."""

    @property
    def gpu(self) -> float:
        """See `Workers`."""

    @property
    def grow(self) -> bool:
        """See `Workers`."""

    def committed(self) -> Committed:
        """What is done already and is to stay."""

    def plan(self, committed: Committed) -> Plan:
        """Counts what is pending."""

    def shards(self, plan: Plan, committed: Committed, salt: str) -> Iterator[Shard]:
        """What is pending."""

    def make(self, plan: Plan) -> Callable[..., Worker]:
        """Makes a worker, see `Workers`; travels to where it works."""

    def files(self) -> tuple[str, ...]:
        """What workers on Ray read besides images, by URI, see `Workers`."""

    def first_files(self) -> dict[str, bytes]:
        """What lies beside the tables from the start, by name."""

    def about(self) -> dict[str, Any]:
        """What the stored plan says of it besides the counts."""

    def reasons(self) -> list[tuple[tuple[str, str], int]]:
        """((stage, reason), images) of what has failed, most first."""
