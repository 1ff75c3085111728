"""The pool: places where workers work, and the actors that are started there one after the other.

A place whose workers do not start is given up while others work. On a node that is about to go
nothing new begins; what dies there is nobody's fault.
"""

from __future__ import annotations

import time
from typing import Any

import ray

from pipeline.errors import BrokenWorker, RunError
from pipeline.run.actor import IN_FLIGHT, Actor, Place, Slot
from pipeline.run.cluster import Draining, dead_end, driver_path, missing, share, there
from pipeline.run.workers import Grown, Note, Ready, Workers

FAILED_STARTS = 3  # of a place in a row
START_S = 1800.0  # for a worker on its node to be ready
TELL_S = 20.0  # without a worker until it is said what is missing
ALIVE_S = 600.0  # without any worker, after which the run ends
GROW_S = 5.0  # between two looks at whether the cluster has grown


class Pool:
    """The workers of a run; `slots` are their actors.

    Raises RunError where no worker starts, or where there is no place for one.
    """

    def __init__(self, workers: Workers, ready: Ready, note: Note, grown: Grown) -> None:
        self.workers, self.ready, self.note, self.grown = workers, ready, note, grown
        self.slots: list[Slot] = []
        self.started = 0
        self.draining = Draining()
        self.alive = time.monotonic()  # when a worker was seen last
        self.told = False
        self.gpu = workers.gpu if workers.device == "cuda" else 0
        self.places = 0
        self.next_growth = 0.0
        self.files: Any = None
        remote: Any = ray.remote(num_cpus=1, num_gpus=self.gpu, max_restarts=0, max_task_retries=0)
        self.actor_class = remote(Actor).options(max_concurrency=IN_FLIGHT)

    def open(self) -> None:
        """Start all workers."""
        if self.workers.files:
            self.files = share(self.workers.files)
        for _ in range(self.workers.count):
            self._add_place()

    def close(self) -> None:
        """End all workers."""
        for slot in self.slots:
            ray.kill(slot.actor)

    def start(self, place: Place) -> None:
        """Start a worker in a place."""
        actor = self.actor_class.remote()
        name = f"worker-{self.started}"
        self.started += 1
        placed = actor.node.remote()
        given = dict(place.change), self.files, driver_path()
        ready = actor.ready.remote(self.workers.make, name, *given)
        self.slots.append(Slot(place, actor, placed, ready))

    def look(self) -> None:
        """See to nodes that go or have come, and to a run without workers."""
        self.draining.look()
        if self.workers.grow and time.monotonic() >= self.next_growth:
            self.next_growth = time.monotonic() + GROW_S
            self._grow()
        for slot in [slot for slot in self.slots if slot.node in self.draining]:
            if not slot.leaving:
                slot.leaving = True
                self.note("a node is about to go; its workers finish what they hold")
                self.start(slot.place)
            if not slot.held:
                self._remove(slot)
        if any(slot.node is not None for slot in self.slots):
            self.alive, self.told = time.monotonic(), False
        else:
            self._wait()

    def answered(self, slot: Slot, ref: Any, answer: Any) -> None:
        """An actor has a node, or its worker is ready."""
        slot.since = time.monotonic()
        if ref == slot.placed:
            slot.placed, slot.node = None, answer
        else:
            slot.starting, slot.place.failed = None, 0
            self.ready(answer)

    def bury(self, slot: Slot, error: BaseException) -> bool:
        """Replace a dead worker; returns whether its shards are to blame."""
        self._remove(slot)
        excused = self._excused(slot, error)
        if slot.starting is not None and not excused:
            slot.place.failed += 1
        if slot.leaving:
            return False
        if slot.place.failed >= FAILED_STARTS:
            self._give_up(error)
        else:
            self.start(slot.place)
        return not excused

    def overdue(self, slot: Slot) -> bool:
        """Whether its worker should have been ready long ago."""
        late = time.monotonic() - slot.since > START_S
        return slot.starting is not None and slot.placed is None and late

    def _add_place(self) -> None:
        self.places += 1
        self.start(Place())

    def _grow(self) -> None:
        """As many workers as the cluster has room for; those whose node went wait for another."""
        more = there(self.gpu) - self.places
        for _ in range(more):
            self._add_place()
        if more > 0:
            self.grown(self.places)
            self.note(f"the cluster has grown: {self.places} workers")

    def _remove(self, slot: Slot) -> None:
        self.slots.remove(slot)
        ray.kill(slot.actor)  # an unreachable actor must not go on in secret

    def _excused(self, slot: Slot, error: BaseException) -> bool:
        """Whether the worker died of its node, or can be made so that it does not die again."""
        self.draining.look(now=True)
        if slot.node in self.draining or getattr(error, "preempted", False):
            return True
        change = error.change if isinstance(error, BrokenWorker) else {}
        if change.items() <= slot.place.change.items():
            return False
        slot.place.change |= change
        self.note(f"a worker is made anew, with {_settings(change)}: {error}")
        return True

    def _give_up(self, error: BaseException) -> None:
        others = [slot for slot in self.slots if slot.node is not None and not slot.leaving]
        reason = f"{FAILED_STARTS} workers in a row did not start: {last_line(error)}"
        if not others:
            raise RunError(dead_end() or reason)
        self.note(f"{reason}; their place is given up, {len(others)} go on")

    def _wait(self) -> None:
        """No worker has a node. RunError if that has been so for too long, or for ever."""
        waited = time.monotonic() - self.alive
        if waited < TELL_S:
            return
        timeout = self.workers.timeout
        patience = ALIVE_S if timeout is None else max(TELL_S, timeout)
        late = f"no worker has been alive for {waited:.0f} s" if waited > patience else None
        if reason := dead_end() or late:
            raise RunError(f"{reason}: {missing(self.places, self.gpu)}")
        if not self.told:
            self.told = True
            until = f"the run ends if there is none within {patience:.0f} s (--timeout)"
            asked = missing(self.places, self.gpu)
            self.note(f"Ray has no place for a worker yet: {asked}; {until}")


def last_line(error: BaseException) -> str:
    """The line of Ray's long messages that says what happened."""
    text = str(error).partition(" Some common causes include")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _settings(change: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in change.items())
