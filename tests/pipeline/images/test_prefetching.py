"""Prefetching: order, errors, how far ahead, and no threads left behind."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from pipeline.errors import ImageError
from pipeline.images import prefetch


def prefetch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_prefetch_keeps_the_order() -> None:
    def load(item: int) -> int:
        time.sleep(0.02 if item % 5 == 0 else 0)
        return item * item

    assert list(prefetch(range(30), load, threads=4)) == [(i, i * i) for i in range(30)]
    assert list(prefetch([], load)) == []
    assert prefetch_threads() == []


def test_prefetch_yields_image_errors() -> None:
    def load(item: int) -> int:
        if item == 2:
            raise ImageError("decode", "broken")
        return item

    results = list(prefetch(range(4), load))
    assert [item for item, _ in results] == [0, 1, 2, 3]
    assert [value for _, value in results if not isinstance(value, ImageError)] == [0, 1, 3]
    error = results[2][1]
    assert isinstance(error, ImageError)
    assert (error.stage, error.reason) == ("decode", "broken")
    assert error.__traceback__ is None  # it would hold on to the bytes of the image


def test_prefetch_raises_what_is_no_image_error() -> None:
    def load(item: int) -> int:
        return 1 // (item - 2)

    loader = prefetch(range(10), load)
    assert [next(loader)[0], next(loader)[0]] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(loader)
    assert prefetch_threads() == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_prefetch_is_exactly_so_far_ahead(ahead: int) -> None:
    started: list[int] = []

    def load(item: int) -> int:
        started.append(item)
        return item

    for item, _ in prefetch(range(8), load, ahead=ahead, threads=3):
        expected = min(8, item + 1 + ahead)
        deadline = time.monotonic() + 10
        while len(started) < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)  # time to run further ahead than allowed
        assert sorted(started) == list(range(expected))


def test_prefetch_loads_while_the_caller_works() -> None:
    second = threading.Event()

    def load(item: int) -> int:
        if item == 1:
            second.set()
        return item

    loader = prefetch(range(2), load)
    next(loader)
    assert second.wait(10)  # nobody has asked for it yet
    loader.close()


def test_prefetch_runs_as_many_loads_at_once_as_threads() -> None:
    together = threading.Barrier(3, timeout=10)  # broken unless three loads meet

    def load(item: int) -> int:
        together.wait()
        return item

    assert [item for item, _ in prefetch(range(6), load, threads=3)] == list(range(6))


def test_closing_prefetch_early_stops_the_threads() -> None:
    started: list[int] = []

    def load(item: int) -> int:
        started.append(item)
        return item

    loader = prefetch(range(1000), load, ahead=4)
    next(loader)
    assert prefetch_threads()
    del loader
    gc.collect()
    assert prefetch_threads() == []
    assert len(started) <= 5


def test_prefetch_refuses_nothing_ahead() -> None:
    with pytest.raises(ValueError, match="ahead is 0"):
        next(prefetch([1], str, ahead=0))
