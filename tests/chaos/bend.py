"""What a driver does to itself: it dies at a use of its store, or believes to be elsewhere."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CALLS = ("write", "create", "read", "files", "remove", "has")  # of a store's backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """kill_at  number of the use of the store at which it gets SIGKILL; half-written files count
    after       that use is done before
    place       the machine that it takes itself to be on; its lock goes stale after `stale` seconds
    """

    kill_at: int = 0
    after: bool = False
    place: str = ""
    stale: float = 2.0

    def apply(self) -> None:
        """Bend this process."""
        if self.kill_at:
            self._die()
        if self.place:
            self._move()

    def _die(self) -> None:
        from pipeline.store import cloud, disk

        count = _Counter(self.kill_at)
        for backend in (disk.Disk, cloud.Cloud):
            for name in CALLS:
                call = getattr(backend, name)
                setattr(backend, name, functools.wraps(call)(self._deadly(call, count)))
        write_through = disk._write_through

        def halved(descriptor: int, data: bytes) -> None:
            if count.reached():
                os.write(descriptor, data[: len(data) // 2])
                die()
            write_through(descriptor, data)

        disk._write_through = halved

    def _deadly(self, call: Callable[..., Any], count: _Counter) -> Callable[..., Any]:
        def use(*given: Any, **named: Any) -> Any:
            reached = count.reached()
            if reached and not self.after:
                die()
            try:
                return call(*given, **named)
            finally:
                if reached:
                    die()

        return use

    def _move(self) -> None:
        from pipeline.store import lock

        lock.place = lambda: self.place
        beat = {"heartbeat_s": self.stale / 10, "stale_s": self.stale}
        lock.RunLock.__init__.__kwdefaults__.update(beat)


class _Counter:
    def __init__(self, last: int) -> None:
        self.left = last
        self.turn = threading.Lock()

    def reached(self) -> bool:
        with self.turn:
            self.left -= 1
            return self.left == 0


def die() -> None:
    """SIGKILL, of which nobody learns in time."""
    os.kill(os.getpid(), signal.SIGKILL)
