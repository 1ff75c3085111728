"""The optimisation of many networks, as many side by side as the classifier takes at once.

Networks stand in a queue; the place of one that has finished goes to the next one, whatever its
image, restart and round.

Shapes: M slots, N networks, S steps, A areas a step, K parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from inr_core.device import MicroBatch, is_out_of_memory
from inr_core.game import Classify, ObjectiveConfig
from inr_core.masks import MaskConfig
from inr_core.optimisation.networks import Networks
from inr_core.optimisation.schedule import Schedule
from inr_core.optimisation.slots import Slots

T = TypeVar("T")


def draw_levels(seeds: Sequence[int], levels: int, steps: int, areas: int) -> Tensor:
    """Which baseline each mask of each step meets, (N, S, A) in 0..levels-1, by network's seed."""
    drawn = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed ^ 1)  # not the stream of the weights
        drawn.append(torch.randint(levels, (steps, areas), generator=generator))
    return torch.stack(drawn)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What is done to networks.

    fixed  whether slots come in few fixed numbers, some perhaps empty: for devices that compile and
           record; else there are as many as networks
    """

    schedule: Schedule
    classify: Classify
    mask: MaskConfig
    objective: ObjectiveConfig
    microbatch: MicroBatch
    fixed: bool

    @property
    def samples(self) -> int:
        """Images of each network in a call of the classifier."""
        sides = self.objective.keeps + self.objective.removes
        return self.schedule.config.areas_per_step * sides

    def count(self, networks: int) -> int:
        """Slots for the next of so many networks."""
        choose = self.microbatch.wave if self.fixed else self.microbatch.at_once
        return choose(networks, self.samples)

    def slots(self, like: Networks, count: int) -> Slots:
        """Empty slots for networks like these, kept from before or new."""
        made = (self.classify, self.mask, self.objective)
        record, dtype = self.microbatch.record, self.microbatch.dtype
        key = (made, self.schedule.config, self.schedule.ends, like.shapes(), count, dtype)

        def make() -> Slots:
            held = like.of([0] * count)
            if dtype is not None and held.theta_NK.device.type != "cpu":
                held = held.shown_in(dtype)
            return Slots(held, self.schedule, *made, record=record)

        return self.microbatch.prepared(key, make)


def optimise(
    tasks: Iterable[T],
    networks_of: Callable[[list[T]], Networks],
    finished: Callable[[list[T], Tensor, list[int]], Iterable[T]],
    steps: Steps,
) -> None:
    """Maximise the objective of every task's network, and of those of the tasks that follow.

    networks_of  how they begin
    finished     called with tasks, their parameters (N, K) and the steps taken; the tasks that it
                 returns are done as well

    When memory runs out, half as many networks go on side by side; those that had not finished
    begin anew, with the same result.
    """
    queue = Queue(tasks, networks_of, finished, steps)
    while not queue.is_empty():
        try:
            queue.turn()
            continue
        except Exception as error:
            if queue.count == 1 or not is_out_of_memory(error):
                raise
        # only here has the error let go of what the failed work held
        queue.begin_anew()
        steps.microbatch.halve(queue.count, steps.samples)


class Queue(Generic[T]):
    """Tasks that wait, tasks whose networks are ready, and tasks in slots.

    ready  tasks of the last of the networks in `begun`
    holds  slot -> task
    count  slots, or how many there were to be when memory ran out
    """

    def __init__(
        self,
        tasks: Iterable[T],
        networks_of: Callable[[list[T]], Networks],
        finished: Callable[[list[T], Tensor, list[int]], Iterable[T]],
        steps: Steps,
    ) -> None:
        self.waiting = deque(tasks)
        self.networks_of, self.finished, self.steps = networks_of, finished, steps
        self.ready: deque[T] = deque()
        self.begun: Networks | None = None
        self.slots: Slots | None = None
        self.holds: dict[int, T] = {}
        self.count = 1

    def is_empty(self) -> bool:
        """Whether nothing is left to be done."""
        return not (self.waiting or self.ready or self.holds)

    def turn(self) -> None:
        """Fill the slots, advance them, and hand over what has finished."""
        if not self.holds:
            self.slots = None
            self.count = self.steps.count(len(self.ready) + len(self.waiting))
        slots = self._filled()
        advanced = slots.advance()
        done = slots.finished(list(self.holds))
        if done:
            taken = slots.clocks.updates_M[done].tolist()
            more = self.finished(
                [self.holds[slot] for slot in done], slots.held.theta_NK[done], taken
            )
            self.waiting.extend(more)
            self.steps.microbatch.occupancy.used += sum(taken)
            for slot in done:
                del self.holds[slot]
        self.steps.microbatch.occupancy.spent += advanced * len(slots)

    def begin_anew(self) -> None:
        """Have the networks that had begun wait again, before the others."""
        self.waiting.extendleft(reversed([*self.holds.values(), *self.ready]))
        self.holds.clear()
        self.ready.clear()
        self.begun = self.slots = None

    def _filled(self) -> Slots:
        """The slots, with networks in them for as long as there are any."""
        while self.ready or self.waiting:
            free = [slot for slot in range(self.count) if slot not in self.holds]
            if not free:
                break
            begun = self._begun()
            self.slots = self.slots or self.steps.slots(begun, self.count)
            first = len(begun) - len(self.ready)
            part = free[: len(self.ready)]
            self.slots.put(part, begun.of(list(range(first, first + len(part)))))
            self.holds |= {slot: self.ready.popleft() for slot in part}
        assert self.slots is not None
        return self.slots

    def _begun(self) -> Networks:
        """Networks of the tasks that are ready; those of the next ones if none is."""
        if not self.ready or self.begun is None:
            tasks = [self.waiting.popleft() for _ in range(min(self.count, len(self.waiting)))]
            self.ready.extend(tasks)
            self.begun = None
            self.begun = self.networks_of(tasks)
        return self.begun
