"""The driver's own process: killed, interrupted, stopped for long, in a race with others."""

from __future__ import annotations

import signal
import time

from tests.chaos.arena import Arena
from tests.chaos.bend import Bend
from tests.chaos.drivers import Violation

KILLS = 6  # of one run, at most


def killed_at_a_random_time(arena: Arena) -> None:
    """SIGKILL, from the first import to the last line."""
    for _ in range(KILLS):
        driver = arena.start(whole=arena.random.random() < 0.2)
        end = time.monotonic() + arena.random.uniform(0.0, 3.0)
        while time.monotonic() < end and driver.code is None:
            time.sleep(0.01)
        arena.injected += driver.send(signal.SIGKILL)
        if driver.wait() == 0:
            break
    arena.finish()


def killed_at_a_storage_call(arena: Arena) -> None:
    """SIGKILL before or after one use of the store, or in the middle of a file."""
    for _ in range(KILLS):
        bend = Bend(kill_at=arena.random.randint(1, 70), after=arena.random.random() < 0.5)
        if arena.start(bend=bend).wait() == 0:
            break
        arena.injected += 1
    arena.finish()


def interrupted(arena: Arena) -> None:
    """SIGTERM or Ctrl-C at work: exit code 130, and the same command goes on."""
    for done in range(0, 6, 2):
        driver = arena.start("--shard-size", 1)
        arena.wait_for_commits(done + arena.random.randint(1, 2), driver)
        sent = driver.send(arena.random.choice((signal.SIGTERM, signal.SIGINT)))
        arena.injected += sent
        code = driver.wait()
        if sent and code not in (0, 130):
            raise Violation(f"interrupted, but ended with {code}")
    arena.finish()


def stopped_and_taken_over(arena: Arena) -> None:
    """SIGSTOP; a driver on another machine takes over; SIGCONT before or after that has ended."""
    first = arena.start("--shard-size", 1, bend=Bend(place="here"))
    arena.wait_for_commits(arena.random.randint(0, 5), first)
    if not arena.random.randint(0, 3):
        time.sleep(arena.random.uniform(0.0, 0.5))
    if first.send(signal.SIGSTOP):
        arena.injected += 1
        second = arena.start(bend=Bend(place="elsewhere"))
        if arena.random.random() < 0.5:
            second.wait()
        else:
            time.sleep(arena.random.uniform(2.0, 4.0))
        first.send(signal.SIGCONT)
        for driver in (first, second):
            _ended_or_refused(arena, driver.wait(), driver.said())
    arena.finish(bend=Bend(place="elsewhere"))


def racing(arena: Arena) -> None:
    """Three at once, of one machine or of three: at least one gets its way, the others say why."""
    machines = arena.random.random() < 0.5
    drivers = [arena.start(bend=Bend(place=f"machine-{n}" if machines else "")) for n in range(3)]
    arena.injected += 1
    codes = []
    for driver in drivers:
        codes.append(driver.wait())
        _ended_or_refused(arena, codes[-1], driver.said())
    if 0 not in codes:
        raise Violation(f"nobody has finished: {codes}")
    arena.finish(bend=Bend(place="machine-0" if machines else ""))


def racing_on_s3(arena: Arena) -> None:
    """The same, where the server decides."""
    arena.in_bucket()
    racing(arena)


def _ended_or_refused(arena: Arena, code: int, said: str) -> None:
    reasons = ("another run is writing here", "taken over", "No such file or directory")
    if code != 0 and not any(reason in " ".join(said.split()) for reason in reasons):
        raise Violation(f"ended with {code} and did not say why: {said[-300:]}")
