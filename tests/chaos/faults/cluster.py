"""Ray: workers, the driver and Ray's own process killed, a node that is taken away."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.arena import Arena
from tests.chaos.drivers import Driver, Violation
from tests.clusters import alive, cluster, drain, family

GONE_S = 30.0  # in which Ray's processes are gone after a driver
ON_RAY = ("--workers", 2, "--shard-size", 1)


def worker_killed(arena: Arena) -> None:
    """SIGKILL of a worker at work: it is replaced, and no image is to blame."""
    driver = arena.start(*ON_RAY, whole=True)
    arena.wait_for_commits(1, driver)
    arena.injected += _kill(driver, "ray::", arena)
    if (code := driver.wait()) != 0:
        raise Violation(f"a worker's death ended it with {code}: {driver.said()[-300:]}")


def raylet_killed(arena: Arena) -> None:
    """SIGKILL of Ray's process on this machine: the run ends and says so."""
    driver = arena.start(*ON_RAY, whole=True)
    arena.wait_for_commits(1, driver)
    killed = _kill(driver, "raylet/raylet", arena)
    arena.injected += killed
    code = driver.wait()
    if killed and code != 0 and "has died" not in " ".join(driver.said().split()):
        raise Violation(f"ended with {code} and did not say why: {driver.said()[-300:]}")
    arena.finish()


def driver_on_ray_killed(arena: Arena) -> None:
    """SIGKILL of a driver with workers: what it has started is gone soon."""
    driver = arena.start(*ON_RAY, whole=True)
    arena.wait_for_commits(arena.random.randint(0, 3), driver)
    pids = family(driver.pid)
    arena.injected += driver.send(signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + GONE_S
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            raise Violation(f"processes outlive their driver by {GONE_S:.0f} s")
        time.sleep(0.1)
    arena.finish()


def node_drained(arena: Arena) -> None:
    """A node is told to go and goes with all that it holds, while another one comes."""
    with pytest.MonkeyPatch.context() as patch, cluster(patch) as found:
        spot = found.add_node(num_cpus=1)
        driver = arena.start(*ON_RAY, "--address", found.address, whole=True)
        arena.wait_for_commits(1, driver)
        drain(found.address, spot.node_id, 20)
        arena.injected += driver.code is None
        found.add_node(num_cpus=1)
        found.remove_node(spot, allow_graceful=False)
        if (code := driver.wait()) != 0:
            raise Violation(f"a draining node ended it with {code}: {driver.said()[-300:]}")


def _kill(driver: Driver, name: str, arena: Arena) -> bool:
    """Kill one process of a driver's whose command line has this; False if there is none."""
    found = []
    for pid in family(driver.pid) - {driver.pid}:
        with suppress(OSError):
            if name in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    if not found or driver.code is not None:
        return False
    with suppress(ProcessLookupError):
        os.kill(arena.random.choice(sorted(found)), signal.SIGKILL)
        return True
    return False
