"""An object store: slow, busy, with answers that are lost or cut off, away for a while."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.arena import Arena
from tests.chaos.drivers import Driver, Violation
from tests.s3 import Faults


def slow_s3(arena: Arena) -> None:
    """Every request takes a while."""
    _under(arena, Faults(latency=arena.random.uniform(0.02, 0.1), random=arena.random))


def busy_s3(arena: Arena) -> None:
    """A share of requests is refused."""
    _under(arena, Faults(busy=arena.random.uniform(0.05, 0.25), random=arena.random))


def s3_answers_lost(arena: Arena) -> None:
    """A share of requests is done, and answered as if not."""
    _under(arena, Faults(lost=arena.random.uniform(0.05, 0.25), random=arena.random))


def s3_answers_cut_off(arena: Arena) -> None:
    """A share of answers ends in the middle."""
    _under(arena, Faults(cut=arena.random.uniform(0.05, 0.25), random=arena.random))


def _under(arena: Arena, faults: Faults) -> None:
    arena.in_bucket()
    server = arena.ground.server
    with arena.server_faults(faults):
        before = server.hurt
        _ended_with_a_reason(arena.start(), arena.out)
        arena.injected += server.hurt - before
    arena.finish()


def s3_away(arena: Arena) -> None:
    """From one request on it refuses everything, for some seconds or until the run gives up."""
    arena.in_bucket()
    server, limit = arena.ground.server, arena.random.randint(5, 60)
    first, until = server.requests, time.monotonic() + 600
    away = Faults(busy=1.0, random=arena.random)

    def begin(number: int, done: bool) -> None:
        if number == first + limit:
            server.faults = away

    with arena.server_faults(Faults(at=begin)):
        driver = arena.start()
        while driver.code is None and server.faults is not away:
            time.sleep(0.02)
        arena.injected += server.faults is away
        if arena.random.random() < 0.5:
            until = time.monotonic() + arena.random.uniform(0.5, 3.0)
        while driver.code is None and time.monotonic() < until:
            time.sleep(0.02)
        server.faults = Faults()
        _ended_with_a_reason(driver, arena.out)
    arena.finish()


def killed_at_an_s3_request(arena: Arena) -> None:
    """SIGKILL of the driver before or after the server has done one of its requests."""
    arena.in_bucket()
    server = arena.ground.server
    for _ in range(3):
        number, after = server.requests + arena.random.randint(1, 90), arena.random.random() < 0.5
        driver = arena.start()
        with arena.server_faults(Faults(at=_killer(driver, number, after))):
            if driver.wait() == 0:
                break
        arena.injected += 1
    arena.finish()


def _killer(driver: Driver, at: int, after: bool) -> Callable[[int, bool], None]:
    def kill(number: int, done: bool) -> None:
        if (number, done) == (at, after):
            driver.send(signal.SIGKILL)

    return kill


def _ended_with_a_reason(driver: Driver, out: str) -> None:
    code, said = driver.wait(), "".join(driver.said().split())
    if code != 0 and f"error:{out}:" not in said:
        raise Violation(f"ended with {code} and did not say why: {driver.said()[-300:]}")
