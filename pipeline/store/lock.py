"""The lock of a run: one driver at a time on an output folder.

The lock is the file with the highest number in `_run/lock/`; its content tells the driver and when
it was last seen alive (its beat). Numbers are never used twice: who takes a dead driver's lock over
creates the next number, which only one can, and no late heartbeat of the other can undo that.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from types import TracebackType

from pipeline.errors import RequestError, RunError
from pipeline.store.layout import RUN, Layout
from pipeline.store.leases import number_of
from pipeline.store.process import birth, is_running, place
from pipeline.store.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The driver that holds a run; `beat` is its last sign of life in seconds since the epoch."""

    host: str
    pid: int
    started: str
    beat: float
    alive: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """Content of a lock file; the holder promises a beat at least every `stale_s` seconds."""

    token: str  # makes each driver's content unique
    host: str
    place: str
    pid: int
    birth: str
    started: str
    beat: float
    stale_s: float
    released: bool = False


class RunLock:
    """Refuses a second driver on the same output while the first is alive.

    On this machine a driver is alive as long as its process is. On another one its beat decides: as
    clocks differ, it is watched until it changes or has not changed for `stale_s` seconds.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout = RUN,
        *,
        heartbeat_s: float = 10.0,
        stale_s: float = 60.0,
    ) -> None:
        self._store = store
        self._layout = layout
        self._heartbeat_s = heartbeat_s
        self._stale_s = stale_s
        self._name = ""
        self._record: _Record | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="run-lock", daemon=True)

    def __enter__(self) -> RunLock:
        """Takes the lock; RequestError if a live driver holds it."""
        self._record = _own_record(self._stale_s)
        while not self._try_number(self._free_number()):
            pass  # another driver was faster: look at its lock
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Releases the lock, unless another driver has it by now."""
        self._stop.set()
        self._thread.join()
        with suppress(RequestError, RunError):  # an unreleased lock goes stale by itself
            if self._is_ours() and self._record is not None:
                self._store.put(self._name, _encode(replace(self._record, released=True)))

    @property
    def number(self) -> int:
        """Its number: greater than that of any earlier driver's lock."""
        return number_of(self._name)

    def check(self) -> None:
        """Raises RunError if another driver has taken the lock over; call before each commit."""
        if not self._is_ours():
            newest = _newest(self._store, self._layout)
            how = f"taken over by {_who(newest[1])}" if newest else "deleted"
            raise RunError(
                f"{self._store.uri}: this driver's lock was {how}, so it may not write any more; "
                "what is committed stays, run again when no other driver is at work"
            )

    @staticmethod
    def holder(store: Store, layout: Layout = RUN) -> Holder | None:
        """The driver that holds the run, None if none does; of another machine by the clocks."""
        newest = _newest(store, layout)
        if newest is None or newest[1].released:
            return None
        record = newest[1]
        alive = time.time() - record.beat < record.stale_s
        if record.place == place():
            alive = is_running(record.pid, record.birth)
        return Holder(
            host=record.host, pid=record.pid, started=record.started, beat=record.beat, alive=alive
        )

    def _free_number(self) -> int:
        """Number for a new lock; RequestError if the newest lock belongs to a live driver."""
        newest = _newest(self._store, self._layout)
        if newest is None:
            # Above the leases, in case that the locks were deleted.
            return 1 + max(map(number_of, self._store.list(self._layout.leases)), default=0)
        name, record = newest
        if not record.released and self._is_alive(name, record):
            raise RequestError(
                f"{self._store.uri}: another run is writing here: {_who(record)}; wait for it, "
                "stop it, or name another output"
            )
        return number_of(name) + 1

    def _is_alive(self, name: str, record: _Record) -> bool:
        if record.place == place():
            return is_running(record.pid, record.birth)
        age = time.time() - record.beat
        # A plausible age shortens the watch, but not below a few beats.
        watch_s = min(record.stale_s, max(record.stale_s - age, record.stale_s / 3))
        deadline = time.monotonic() + watch_s
        while time.monotonic() < deadline:
            time.sleep(watch_s / 20)
            newest = _newest(self._store, self._layout)
            if newest is None or newest[0] != name or newest[1].released:
                return False  # who comes next decides by creating the next number
            if newest[1].beat != record.beat:
                return True
        return False

    def _try_number(self, number: int) -> bool:
        """Whether lock `number` is ours now; removes the older ones if so."""
        assert self._record is not None
        self._name = f"{self._layout.lock}/{number:06d}.json"
        self._record = replace(self._record, beat=time.time())
        try:
            self._store.put_new(self._name, _encode(self._record))
        except FileExistsError:
            return False
        if not self._is_ours():  # we were slow, and others have come and gone meanwhile
            self._store.delete([self._name])
            return False
        names = _names(self._store, self._layout)
        self._store.delete([name for name in names if number_of(name) < number])
        return True

    def _is_ours(self) -> bool:
        return _names(self._store, self._layout)[-1:] == [self._name]

    def _beat(self) -> None:
        assert self._record is not None
        while not self._stop.wait(self._heartbeat_s):
            record = replace(self._record, beat=time.time())
            # A store that is away for a while must not end the run; `check` decides.
            with suppress(Exception):
                self._store.put(self._name, _encode(record))


def _names(store: Store, layout: Layout) -> list[str]:
    """Names of the lock files, the newest last."""
    return sorted(store.list(layout.lock), key=number_of)


def _newest(store: Store, layout: Layout) -> tuple[str, _Record] | None:
    """The newest lock file and its content; None if nobody ever locked the run."""
    while names := _names(store, layout):
        try:
            data = store.get(names[-1])
        except FileNotFoundError:  # removed since listed, by the owner of a newer one
            continue
        return names[-1], _decode(data)
    return None


def _encode(record: _Record) -> bytes:
    return json.dumps(asdict(record)).encode()


def _decode(data: bytes) -> _Record:
    try:
        return _Record(**json.loads(data))
    except (ValueError, TypeError):  # cut off by a kill, where the disk has no hard links
        return _Record(
            token="",
            host="an unknown host",
            place="",
            pid=0,
            birth="",
            started="unknown",
            beat=0.0,
            stale_s=60.0,
        )


def _own_record(stale_s: float) -> _Record:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    return _Record(
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        place=place(),
        pid=pid,
        birth=birth(pid),
        started=now,
        beat=time.time(),
        stale_s=stale_s,
    )


def _who(record: _Record) -> str:
    return f"process {record.pid} on {record.host}, started {record.started}"
