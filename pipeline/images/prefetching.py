"""Loading in threads, ahead of the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

from pipeline.errors import ImageError

GRACE_S = 2.0  # for loads to end
READERS = 32  # threads of a worker that wait for files, most of them for a store far away
AHEAD = 8  # images, at least: a quick worker would wait for a slow store with fewer
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
            pool.shutdown(wait=False, cancel_futures=True)
            _end(pool, [future for _, future in waiting])

    fill()
    return loaded()


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The items, each made in a thread while the caller works on the one before it.

    The first is made at once. Closing waits for the item in the making, but not for long.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    coming = pool.submit(next, items, None)

    def made() -> Generator[T, None, None]:
        nonlocal coming
        try:
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item
        finally:
            _end(pool, [coming])

    return made()


@contextmanager
def closed(items: Generator[T, None, None]) -> Iterator[None]:
    """Closes the items at the end, unless a thread is still at work in them."""
    try:
        yield
    finally:
        with suppress(ValueError):
            items.close()


def _end(pool: ThreadPoolExecutor, futures: Iterable[Future[Any]]) -> None:
    """End a pool, without waiting long for work that hangs: who interrupts it has said so once."""
    late = wait([future for future in futures if not future.cancelled()], GRACE_S).not_done
    pool.shutdown(wait=not late)


def _next_result(waiting: deque[tuple[T, Future[V]]]) -> tuple[T, V] | tuple[T, ImageError]:
    item, future = waiting.popleft()
    try:
        return item, future.result()
    except ImageError as error:
        # a fresh one: the traceback of the old holds on to the image's bytes
        return item, ImageError(error.stage, error.reason)
