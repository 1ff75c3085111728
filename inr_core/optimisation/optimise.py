"""The optimisation of many networks, as many side by side as the classifier takes at once.

Shapes: N networks, S steps, A areas a step, K parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from inr_core.device import MicroBatch
from inr_core.game import Classify, ObjectiveConfig
from inr_core.masks import MaskConfig
from inr_core.optimisation.schedule import Schedule
from inr_core.optimisation.slots import Networks, Slots


def draw_levels(seeds: Sequence[int], levels: int, steps: int, areas: int) -> Tensor:
    """Which baseline each mask of each step meets, (N, S, A) in 0..levels-1, by network's seed."""
    drawn = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed ^ 1)  # not the stream of the weights
        drawn.append(torch.randint(levels, (steps, areas), generator=generator))
    return torch.stack(drawn)


def optimise(
    networks: Networks,
    schedule: Schedule,
    classify: Classify,
    mask: MaskConfig,
    objective: ObjectiveConfig,
    microbatch: MicroBatch,
) -> tuple[Tensor, Tensor]:
    """Maximise the objective of every network: parameters (N, K), and the steps taken (N,).

    A network that has finished leaves its slot to the next one. When memory runs out, all begin
    anew in half as many slots, with the same result.
    """
    samples = schedule.config.areas_per_step * (objective.keeps + objective.removes)

    def work(count: int) -> tuple[Tensor, Tensor]:
        key = (classify, schedule.config, schedule.ends, mask, objective, networks.shapes())
        kept: Slots | None = microbatch.kept.get(key)
        if kept is None or len(kept) != count:
            held = networks.of(list(range(count)))
            kept = Slots(held, schedule, classify, mask, objective, record=microbatch.record)
            microbatch.keep(key, kept)
        return _through(kept, networks)

    return microbatch.fitted(work, len(networks), samples)


def _through(slots: Slots, networks: Networks) -> tuple[Tensor, Tensor]:
    """Every network has its time in a slot."""
    theta_NK = torch.empty_like(networks.theta_NK)
    steps_N = torch.zeros_like(theta_NK[:, 0], dtype=torch.long)
    waiting = deque(range(len(networks)))
    holds: dict[int, int] = {}  # slot -> network
    while waiting or holds:
        free = [slot for slot in range(len(slots)) if slot not in holds]
        if begin := {slot: waiting.popleft() for slot in free[: len(waiting)]}:
            slots.put(list(begin), networks.of(list(begin.values())))
            holds |= begin
        slots.advance()
        for slot in slots.finished(list(holds)):
            n = holds.pop(slot)
            theta_NK[n], steps_N[n] = slots.held.theta_NK[slot], slots.updates_M[slot]
    return theta_NK, steps_N
