"""Slots: networks optimised side by side, each as if alone, at a step of its own.

The loss is a sum over networks and all arithmetic is element by element, so that one network's
result does not depend on the others. A step never waits for the device and does the same whatever
the values are: on a GPU it is recorded once, as a CUDA graph, and replayed.

Shapes: M slots, S steps of the schedule, K parameters.
"""

from __future__ import annotations

import torch

from inr_core.device import replayed
from inr_core.game import Classify, ObjectiveConfig
from inr_core.masks import Canvas, MaskConfig
from inr_core.optimisation.adam import Adam
from inr_core.optimisation.networks import Networks
from inr_core.optimisation.schedule import Schedule
from inr_core.optimisation.step import Clocks, look, move

LOOK = 3  # steps between looking for networks that have finished early, where looking means waiting


class Slots:
    """M networks in optimisation.

    held    copies of their own, which `put` overwrites; `held.theta_NK` is as far as they are
    clocks  the steps that come next, see `Clocks`
    record  whether a step becomes a CUDA graph on a GPU
    """

    def __init__(
        self,
        held: Networks,
        schedule: Schedule,
        classify: Classify,
        mask: MaskConfig,
        objective: ObjectiveConfig,
        *,
        record: bool = True,
    ) -> None:
        self.held, self.schedule, self.classify = held, schedule, classify
        self.mask, self.objective = mask, objective
        height, width = held.scene.image_NCHW.shape[2:]
        self.canvas = Canvas.of((height, width), mask.stride, held.theta_NK, mask.points)
        self.adam = Adam(held.theta_NK)
        self.clocks = Clocks.finished(held.theta_NK, schedule.config.steps)
        self.signs = held.theta_NK.new_ones(len(held)), -held.theta_NK.new_ones(len(held))
        device = held.theta_NK.device
        self.replay = replayed(self._step, device) if record else None

    def __len__(self) -> int:
        return len(self.held)

    def put(self, slots: list[int], networks: Networks) -> None:
        """Begin with other networks in these slots."""
        for own, other in zip(self.held.tensors(), networks.tensors(), strict=True):
            own[slots] = other.to(own.dtype)
        self.adam.forget(slots)
        self.clocks.begin(slots)

    def step(self) -> None:
        """Move every network by one step; finished ones stay as they are."""
        (self.replay or self._step)()

    def advance(self) -> int:
        """As many steps as no network is ahead of its end for long; without waiting in between.

        Returns how many.
        """
        if self.schedule.config.enough is None:
            steps = self.schedule.config.steps
        else:
            steps = 1 if self.clocks.step_M.device.type == "cpu" else LOOK
        for _ in range(steps):
            self.step()
        return steps

    def finished(self, slots: list[int]) -> list[int]:
        """Those of the slots whose network has taken all of its steps."""
        steps = self.clocks.step_M.tolist()
        return [slot for slot in slots if steps[slot] == self.schedule.config.steps]

    def _step(self) -> None:
        held, step_M = self.held, self.clocks.step_M
        made = (self.schedule, self.canvas, self.mask, self.objective)
        theta = held.theta_NK.detach().requires_grad_()
        seen, penalty_M = look(theta, step_M, held, *made)
        logits = self.classify(seen)
        reward_M = held.scene.rewards(logits, self.objective)
        (gradient,) = torch.autograd.grad((penalty_M, reward_M), theta, self.signs)
        told_M = reward_M.detach()
        if held.scene.contrast_N is not None and self.schedule.config.enough is not None:
            told_M = held.scene.rewards(logits.detach(), self.objective, bounded=True)
        move(held.theta_NK, gradient, told_M, self.adam, self.clocks, self.schedule)
