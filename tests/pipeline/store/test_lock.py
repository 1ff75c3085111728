"""The lock on a run: one driver at a time; a dead one's lock is taken over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import RequestError, RunError
from pipeline.store import lock as lock_module
from pipeline.store.layout import RUN
from pipeline.store.lock import RunLock
from pipeline.store.store import Store
from tests.stores import Repeating

ROOT = Path(__file__).parents[3]
HEARTBEAT_S, STALE_S = 0.05, 3.0
PATIENCE_S = 30.0


@contextmanager
def driver(uri: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock and answers each line with the result of `check`."""
    process = subprocess.Popen(
        [sys.executable, __file__, uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert answer(process) == "held"
        yield process
    finally:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("check\n")
    process.stdin.flush()
    return answer(process)


def hold(uri: str) -> None:
    with RunLock(Store(uri), heartbeat_s=HEARTBEAT_S, stale_s=STALE_S) as lock:
        print("held", flush=True)
        for _ in sys.stdin:
            try:
                lock.check()
                print("ours", flush=True)
            except RunError as error:
                print(error, flush=True)


def gone_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def bury_holder(store: Store) -> None:
    """Rewrites the newest lock as if its process had been killed."""
    name = store.list(RUN.lock)[-1]
    record = json.loads(store.get(name))
    store.put(name, json.dumps({**record, "pid": gone_pid(), "released": False}).encode())


def wait_for_beat(store: Store) -> None:
    first, deadline = RunLock.holder(store), time.monotonic() + PATIENCE_S
    assert first is not None
    while (now := RunLock.holder(store)) is None or now.beat == first.beat:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_free_held_released(store: Store) -> None:
    assert RunLock.holder(store) is None
    before = time.time()
    with RunLock(store) as lock:
        lock.check()
        holder = RunLock.holder(store)
        assert holder is not None
        assert (holder.host, holder.pid, holder.alive) == (socket.gethostname(), os.getpid(), True)
        assert before <= holder.beat <= time.time()
    assert RunLock.holder(store) is None
    with RunLock(store) as lock:
        lock.check()


def test_a_second_driver_is_refused_and_does_no_harm(store: Store) -> None:
    with RunLock(store) as lock:
        with pytest.raises(RequestError) as refused, RunLock(store):
            pass
        lock.check()
    message = str(refused.value)
    assert store.uri in message
    assert f"process {os.getpid()} on {socket.gethostname()}, started 20" in message
    assert "stop it" in message


def test_released_after_an_exception(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), RunLock(store):
        raise ZeroDivisionError
    assert RunLock.holder(store) is None


def test_of_those_who_find_a_dead_driver_one_takes_over(store: Store, store_uri: str) -> None:
    for _ in range(2 if "s3:" in store_uri else 5):
        with RunLock(store):
            pass
        bury_holder(store)
        assert (holder := RunLock.holder(store)) is not None and not holder.alive
        assert len(rush(store_uri)) == 1


def test_of_those_who_find_no_driver_one_starts(store_uri: str) -> None:
    assert len(rush(store_uri)) == 1


def rush(uri: str, drivers: int = 6) -> list[int]:
    """Who got the lock, of several drivers that start at once; each holds until all have tried."""
    winners: list[int] = []
    start, end = threading.Barrier(drivers), threading.Barrier(drivers)
    stores = [Store(uri) for _ in range(drivers)]

    def drive(i: int) -> None:
        start.wait()
        try:
            with RunLock(stores[i]) as lock:
                end.wait()
                lock.check()
                winners.append(i)
        except RequestError:
            end.wait()

    threads = [threading.Thread(target=drive, args=(i,)) for i in range(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners


class Slow(Store):
    """A store whose owner sleeps before it creates its first file, while others hold the lock."""

    slept = False

    def put_new(self, name: str, data: bytes) -> None:
        if not self.slept:
            self.slept = True
            for _ in range(3):
                with RunLock(Store(self.uri)):
                    pass
        super().put_new(name, data)


def test_a_slow_driver_does_not_reuse_a_number(store: Store, store_uri: str) -> None:
    with RunLock(Slow(store_uri)) as lock:
        lock.check()
        assert store.list(RUN.lock) == [f"{RUN.lock}/000004.json"]
        with pytest.raises(RequestError), RunLock(store):
            pass


def test_a_repeated_creation_is_ours(store_uri: str) -> None:
    with RunLock(Repeating(store_uri)) as lock:
        lock.check()
        with pytest.raises(RequestError), RunLock(Store(store_uri)):
            pass


def test_heartbeats_go_on_and_survive_a_store_that_is_away(disk: Store) -> None:
    with RunLock(disk, heartbeat_s=HEARTBEAT_S) as lock:
        wait_for_beat(disk)
        attempts = threading.Semaphore(0)
        put = disk.put

        def away(name: str, data: bytes) -> None:
            attempts.release()
            raise RunError("the store is away")

        disk.put = away  # type: ignore[method-assign]
        assert all(attempts.acquire(timeout=PATIENCE_S) for _ in range(3))
        disk.put = put  # type: ignore[method-assign]
        wait_for_beat(disk)
        lock.check()


def test_a_cut_off_lock_is_taken_over(disk: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(time, "monotonic", iter(range(0, 10_000, 15)).__next__)
    disk.put(f"{RUN.lock}/000007.json", b'{"token": "ab')
    with RunLock(disk) as lock:
        lock.check()


def test_a_lost_lock_stays_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunLock(store, heartbeat_s=HEARTBEAT_S) as lost:
        monkeypatch.setattr(lock_module, "is_running", lambda pid, born: False)
        with RunLock(store) as taken:
            assert taken.number == lost.number + 1
            with pytest.raises(RunError, match="taken over by process"):
                lost.check()
            time.sleep(3 * HEARTBEAT_S)  # late heartbeats of the first driver change nothing
            taken.check()
    assert RunLock.holder(store) is None


def test_numbers_go_on_above_the_leases_where_the_locks_were_deleted(store: Store) -> None:
    store.put("_run/leases/000007.json", b"{}")
    with RunLock(store) as lock:
        assert lock.number == 8


def test_a_deleted_lock_is_lost(disk: Store) -> None:
    with RunLock(disk) as lock:
        disk.delete(disk.list(RUN.lock))
        with pytest.raises(RunError, match="deleted"):
            lock.check()


def test_another_process_is_refused_until_the_first_is_killed(disk: Store) -> None:
    with driver(disk.uri) as first:
        with pytest.raises(RequestError, match=f"process {first.pid} on "), RunLock(disk):
            pass
        assert ask(first) == "ours"
        os.kill(first.pid, signal.SIGKILL)
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet buried
        holder = RunLock.holder(disk)
        assert holder is not None and holder.pid == first.pid and not holder.alive
        with RunLock(disk) as lock:
            lock.check()


def test_a_stopped_process_of_this_machine_keeps_the_lock(disk: Store) -> None:
    with driver(disk.uri) as first:
        os.kill(first.pid, signal.SIGSTOP)
        bury_beat(disk)
        with pytest.raises(RequestError), RunLock(disk):
            pass


def bury_beat(store: Store) -> None:
    name = store.list(RUN.lock)[-1]
    record = json.loads(store.get(name))
    store.put(name, json.dumps({**record, "beat": 0.0}).encode())


def test_a_reused_process_number_is_not_the_driver(disk: Store) -> None:
    with RunLock(disk):
        name = disk.list(RUN.lock)[-1]
        record = json.loads(disk.get(name))
        assert record["birth"].isdecimal()
        disk.put(name, json.dumps({**record, "birth": "1"}).encode())
        assert (holder := RunLock.holder(disk)) is not None and not holder.alive


@pytest.mark.parametrize("clock_ahead_s", [-3600.0, 0.0, 3600.0])
def test_a_driver_on_another_machine_is_watched(
    disk: Store, monkeypatch: pytest.MonkeyPatch, clock_ahead_s: float
) -> None:
    with driver(disk.uri) as first:
        monkeypatch.setattr(lock_module, "place", lambda: "elsewhere")
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + clock_ahead_s)
        with pytest.raises(RequestError, match=f"process {first.pid} on "), RunLock(disk):
            pass
        os.kill(first.pid, signal.SIGSTOP)
        with RunLock(disk) as lock:
            os.kill(first.pid, signal.SIGCONT)
            assert "taken over by process" in ask(first)
            lock.check()


if __name__ == "__main__":
    hold(sys.argv[1])
