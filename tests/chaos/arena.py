"""Where a fault takes place: one run with its drivers, and what became of it in the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pipeline.shapes import write_dataset
from pipeline.store import TABLES, RunFolder, Store
from pipeline.tables import RunTables
from tests.chaos.bend import Bend
from tests.chaos.drivers import PATIENCE_S, Driver, Violation
from tests.s3 import Faults, S3Server

IMAGES = 6
OPTIONS = (  # little work, but the whole path: a network's random start, its steps, its masks
    *("--model", "builtin:shapes", "--areas", ".1", "--steps", "2"),
    *("--set", "start.kind=random", "--set", "mask.network.hidden_width=8"),
    *("--set", "mask.points=12"),
)
TRIES = 5  # of the same command, until a run has to be done
Rows = dict[str, list[dict[str, Any]]]


@dataclass(slots=True)
class Ground:
    """What all arenas share: images, what a run over them gives undisturbed, an S3 server."""

    folder: Path
    manifest: Path
    server: S3Server
    undisturbed: Rows = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, server: S3Server) -> Ground:
        """Write the images and explain them."""
        ground = cls(folder, write_dataset(folder / "data", IMAGES, 0), server)
        arena = Arena(ground, "undisturbed", Random(0))
        arena.finish()
        ground.undisturbed = rows_of(arena.out)
        return ground


@dataclass(slots=True)
class Arena:
    """One run.

    out       where it writes; set to a folder of the bucket by `in_bucket`
    injected  how many times the fault has happened
    failed    ids that have to end as failures, all others as explained
    """

    ground: Ground
    name: str
    random: Random
    out: str = ""
    injected: int = 0
    failed: frozenset[str] = frozenset()
    manifest: Path = Path()
    drivers: list[Driver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.out, self.manifest = str(self.folder / "out"), self.ground.manifest

    @property
    def folder(self) -> Path:
        """Its own, for whatever a fault needs."""
        return self.ground.folder / self.name

    def in_bucket(self) -> None:
        """Write to S3."""
        self.out = f"{self.ground.server.bucket()}/out"

    @contextmanager
    def server_faults(self, faults: Faults) -> Iterator[None]:
        """Requests go wrong meanwhile."""
        self.ground.server.faults = faults
        try:
            yield
        finally:
            self.ground.server.faults = Faults()

    def start(self, *more: object, bend: Bend | None = None, whole: bool = False) -> Driver:
        """A driver in this process, with some size of shards; more options override."""
        size = self.random.choice((1, 2, 3, IMAGES))
        given = ["run", self.manifest, "--out", self.out, *OPTIONS]
        given += ["--workers", 0, "--shard-size", size, *more]
        log = self.folder / f"driver-{len(self.drivers)}.log"
        driver = Driver([*map(str, given)], log, bend or Bend(), whole)
        self.drivers.append(driver)
        return driver

    def finish(self, *more: object, bend: Bend | None = None) -> None:
        """Run the same command until it has nothing left to do; Violation if it never has."""
        for _ in range(TRIES):
            driver = self.start(*more, bend=bend)
            if driver.wait() in (0, 3):
                return
        raise Violation(f"not done after {TRIES} tries: {driver.said()[-300:]}")

    def wait_for_commits(self, count: int, driver: Driver) -> None:
        """Wait until so many shards are committed, or the driver has ended."""
        store = Store(self.out)
        deadline = time.monotonic() + PATIENCE_S
        while driver.code is None and len(store.list("_run/commits")) < count:
            if time.monotonic() > deadline:
                raise Violation(f"no commit for {PATIENCE_S:.0f} s: {driver.said()[-300:]}")
            time.sleep(0.01)

    def slowest(self) -> float:
        """Seconds of the driver that took longest to its end."""
        return max((driver.seconds for driver in self.drivers), default=0.0)

    def end(self) -> None:
        """End what still runs."""
        for driver in self.drivers:
            driver.end()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run: images that no table has or one twice; whether all rows are equal."""

    lost: int
    doubled: int
    equal: bool

    @classmethod
    def of(cls, arena: Arena) -> Outcome:
        """Read the tables and the markers."""
        wanted, found = arena.ground.undisturbed, rows_of(arena.out)
        ids = {row["id"] for table in ("images", "failures") for row in wanted[table]}
        times = Counter(row["id"] for row in found["images"])
        failed = {row["id"] for row in found["failures"]} - times.keys()
        commits = list(RunFolder(Store(arena.out)).commits())
        marked = Counter(id_ for commit in commits for id_ in commit.explained)
        good = ids - arena.failed
        return cls(
            lost=len(ids - times.keys() - failed) + len((good - times.keys()) & failed),
            doubled=sum(n - 1 for n in times.values()) + sum(n - 1 for n in marked.values()),
            equal=failed == arena.failed
            and all(
                found[table] == [row for row in wanted[table] if row["id"] in good]
                for table in ("images", "explanations", "masks")
            ),
        )


def rows_of(uri: str) -> Rows:
    """The tables of a run in order, but for where the images lie."""
    tables = RunTables(uri)
    found = {table: getattr(tables, table).to_table().to_pylist() for table in TABLES}
    for row in [*found["images"], *found["failures"]]:
        del row["image"]
    for row in found["images"]:
        row.pop("mask", None)  # of the manifest
    keys = ("id", "target", "restart", "round", "area")
    return {
        table: sorted(rows, key=lambda row: [row.get(key) or 0 for key in keys])
        for table, rows in found.items()
    }
