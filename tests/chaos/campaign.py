"""A campaign: faults in turn, chosen by a seed, until the time is over; what became of the runs.

The seed decides the order of the faults and where each strikes; how fast processes are it cannot.
"""

from __future__ import annotations

import os
import random
import shutil
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.arena import Arena, Ground, Outcome
from tests.chaos.drivers import Violation, prepare
from tests.chaos.faults import cluster, driver, files, storage
from tests.s3 import serving

Fault = Callable[[Arena], None]
QUICK: tuple[Fault, ...] = (
    driver.killed_at_a_random_time,
    driver.killed_at_a_storage_call,
    driver.interrupted,
    driver.stopped_and_taken_over,
    driver.racing,
    driver.racing_on_s3,
    files.table_files_deleted,
    files.table_files_cut_off,
    files.disk_full,
    files.images_damaged,
    storage.slow_s3,
    storage.busy_s3,
    storage.s3_answers_lost,
    storage.s3_answers_cut_off,
    storage.s3_away,
    storage.killed_at_an_s3_request,
)
ON_RAY: tuple[Fault, ...] = (
    cluster.worker_killed,
    cluster.raylet_killed,
    cluster.driver_on_ray_killed,
    cluster.node_drained,
)
FAULTS = {fault.__name__: fault for fault in (*QUICK, *ON_RAY)}


@dataclass(slots=True)
class Record:
    """What a fault has done to all its runs; slowest: seconds until a driver ended or said why."""

    fault: str
    runs: int = 0
    injected: int = 0
    lost: int = 0
    doubled: int = 0
    equal: bool = True
    slowest: float = 0.0
    violations: list[str] = field(default_factory=list)

    def add(self, arena: Arena, outcome: Outcome | None, violation: str) -> None:
        """One more run; no outcome where it could not be read."""
        self.runs += 1
        self.injected += arena.injected
        self.slowest = max(self.slowest, arena.slowest())
        if outcome is not None:
            self.lost += outcome.lost
            self.doubled += outcome.doubled
        self.equal &= outcome is not None and outcome.equal
        if outcome is not None and not violation and outcome != Outcome(0, 0, True):
            violation = f"{outcome}"
        if violation:
            self.violations.append(f"{arena.name}: {violation}")


def campaign(
    folder: Path, seconds: float, seed: int, only: Collection[str], tell: Callable[[str], None]
) -> list[Record]:
    """Hurt runs below `folder` for so long, and a bit longer: each is brought to its end.

    only  names of faults; others are left out
    """
    names = [name for name in FAULTS if name in only and _possible(name)]
    records = {name: Record(name) for name in names}
    with serving() as server:
        os.environ.update(server.environment)
        prepare()
        ground = Ground.make(folder, server)
        deadline = time.monotonic() + seconds
        for number, name in enumerate(_turns(names, seed)):
            if time.monotonic() > deadline:
                break
            arena = Arena(ground, f"{number:03}-{name}", random.Random(f"{seed} {number} {name}"))
            _one(FAULTS[name], arena, records[name], tell)
    return list(records.values())


def _turns(names: list[str], seed: int) -> Iterator[str]:
    """All once, then those without Ray, which are quicker, twice more; and so on."""
    order = random.Random(seed)
    quick = [name for name in names if FAULTS[name] in QUICK]
    on_ray = [name for name in names if FAULTS[name] in ON_RAY]
    while names:
        for some in (quick, on_ray, quick, quick):
            yield from order.sample(some, len(some))


def _possible(name: str) -> bool:
    return name != files.disk_full.__name__ or files.can_mount()


def _one(fault: Fault, arena: Arena, record: Record, tell: Callable[[str], None]) -> None:
    violation, outcome, started = "", None, time.monotonic()
    try:
        fault(arena)
        outcome = Outcome.of(arena)
    except Violation as error:
        violation = str(error)
    except Exception:
        violation = traceback.format_exc()
    finally:
        arena.end()
    before = len(record.violations)
    record.add(arena, outcome, violation)
    tell(f"{arena.name}: {arena.injected} times, {time.monotonic() - started:.1f} s {outcome}")
    if len(record.violations) == before:
        shutil.rmtree(arena.folder)
