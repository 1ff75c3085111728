"""Loading in threads, ahead of the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from pipeline.errors import ImageError

T = TypeVar("T")
V = TypeVar("V")


def prefetch(
    items: Iterable[T], load: Callable[[T], V], *, ahead: int = 8, threads: int = 2
) -> Generator[tuple[T, V | ImageError], None, None]:
    """Loads items in threads while the caller works, in order, at most `ahead` of them waiting.

    Loading begins with the call. An ImageError raised by `load` is yielded in place of the value,
    any other exception raised.
    """
    if ahead < 1:
        raise ValueError(f"ahead is {ahead}, expected at least 1")
    todo = iter(items)
    waiting: deque[tuple[T, Future[V]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")

    def fill() -> None:
        for item in islice(todo, ahead - len(waiting)):
            waiting.append((item, pool.submit(load, item)))

    def loaded() -> Generator[tuple[T, V | ImageError], None, None]:
        try:
            while waiting:
                result = _next_result(waiting)
                fill()
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    fill()
    return loaded()


def _next_result(waiting: deque[tuple[T, Future[V]]]) -> tuple[T, V] | tuple[T, ImageError]:
    item, future = waiting.popleft()
    try:
        return item, future.result()
    except ImageError as error:
        # a fresh one: the traceback of the old holds on to the image's bytes
        return item, ImageError(error.stage, error.reason)
