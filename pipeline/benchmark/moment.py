"""A moment of this process: the time and memory it has taken until then."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from pipeline.store import age, private_memory

LOOK_S = 0.02  # between two looks at the memory
_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of `ru_maxrss`


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How far a process is.

    seconds    since it began; `processor` its processor time
    private    bytes, the most of `private_memory` that was seen until now
    resident   bytes, the most until now of all it maps, files of libraries included
    """

    seconds: float
    processor: float
    private: int
    resident: int


@contextmanager
def watched() -> Iterator[Callable[[], Moment]]:
    """Function that gives the present moment; a thread looks at the memory meanwhile."""
    most, end = private_memory(), Event()

    def look() -> None:
        nonlocal most
        while not end.wait(LOOK_S):
            most = max(most, private_memory())

    def now() -> Moment:
        return Moment(
            seconds=age(),
            processor=time.process_time(),
            private=max(most, private_memory()),
            resident=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT,
        )

    thread = Thread(target=look)
    thread.start()
    try:
        yield now
    finally:
        end.set()
        thread.join()
