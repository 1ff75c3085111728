"""Slots: networks optimised side by side, each as if alone, at a step of its own.

The loss is a sum over networks and all arithmetic is element by element, so that one network's
result does not depend on the others. A step never waits for the device and does the same whatever
the values are: on a GPU it is recorded once, as a CUDA graph, and replayed.

Shapes: M slots, S steps of the schedule, A areas a step, P coarse cells, K parameters, J earlier
rounds, L baselines, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.device import replayed
from inr_core.game import Classify, ObjectiveConfig, Scene, outline_per_area
from inr_core.masks import Canvas, MaskConfig, coarse_mask, occupied, vecsort_penalty
from inr_core.optimisation.adam import Adam
from inr_core.optimisation.schedule import Schedule

RECENT = 0.2  # weight of the newest step in the running mean of the reward
SETTLED = 5  # steps before that mean says anything
LOOK = 3  # steps between looking for networks that have finished early, where looking means waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Networks to be optimised, and what each of them needs.

    theta_NK      parameters
    previous_NJK  those of the earlier rounds
    level_NSA     which baseline each mask of each step meets, in 0..L-1
    scene         what they look at
    """

    theta_NK: Tensor
    previous_NJK: Tensor
    level_NSA: Tensor
    scene: Scene

    def __len__(self) -> int:
        return len(self.theta_NK)

    def map(self, change: Callable[[Tensor], Tensor]) -> Networks:
        """With every tensor changed alike."""
        return Networks(
            theta_NK=change(self.theta_NK),
            previous_NJK=change(self.previous_NJK),
            level_NSA=change(self.level_NSA),
            scene=self.scene.map(change),
        )

    def of(self, chosen: list[int]) -> Networks:
        """Copies of some of them."""
        return self.map(lambda tensor: tensor[chosen])

    def shapes(self) -> tuple[torch.Size | torch.dtype | bool, ...]:
        """Of the tensors of one network, and what else decides how a step is done."""
        shapes = [tensor.shape[1:] for tensor in self.tensors()]
        return (*shapes, self.theta_NK.dtype, self.scene.pyramid)

    def tensors(self) -> list[Tensor]:
        """All of them, networks first."""
        scene = self.scene
        more = [scene.image_NCHW, scene.baseline_NLCHW, scene.target_N]
        return [self.theta_NK, self.previous_NJK, self.level_NSA, *more]


class Slots:
    """M networks in optimisation.

    held       copies of their own, which `put` overwrites; `held.theta_NK` is as far as they are
    clock_M    step of the schedule that comes next; that of a finished network is S
    updates_M  steps that each has taken
    reward_M   running mean of each network's reward
    record     whether a step becomes a CUDA graph on a GPU
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
        image_NCHW = held.scene.image_NCHW
        size = (image_NCHW.shape[2], image_NCHW.shape[3])
        self.canvas = Canvas.of(size, mask.stride, held.theta_NK, mask.points)
        self.adam = Adam(held.theta_NK)
        self.steps = schedule.config.steps
        self.jump = max(0, self.steps - schedule.config.cooldown)
        self.clock_M = torch.full((len(held),), self.steps, device=image_NCHW.device)
        self.updates_M = torch.zeros_like(self.clock_M)
        self.reward_M = held.theta_NK.new_zeros(len(held))
        self.step = replayed(self._step, image_NCHW.device) if record else self._step

    def __len__(self) -> int:
        return len(self.clock_M)

    def put(self, slots: list[int], networks: Networks) -> None:
        """Begin with other networks in these slots."""
        for own, other in zip(self.held.tensors(), networks.tensors(), strict=True):
            own[slots] = other
        self.adam.forget(slots)
        self.clock_M[slots] = 0
        self.updates_M[slots] = 0

    def advance(self) -> None:
        """As many steps as no network is ahead of its end for long; without waiting in between."""
        if self.schedule.config.enough is None:
            steps = self.steps
        else:
            steps = 1 if self.clock_M.device.type == "cpu" else LOOK
        for _ in range(steps):
            self.step()

    def finished(self, slots: list[int]) -> list[int]:
        """Those of the slots whose network has taken all of its steps."""
        clocks = self.clock_M.tolist()
        return [slot for slot in slots if clocks[slot] == self.steps]

    def _step(self) -> None:
        """Move every network by one step; finished ones stay as they are."""
        area_MA = self.schedule.area_SA[self.clock_M]
        theta = self.held.theta_NK.detach().requires_grad_()
        mask_MAP = self._mask(theta, area_MA)
        reward_M = self._reward(mask_MAP)
        loss_M = self._penalty(mask_MAP, area_MA) - reward_M
        (gradient_MK,) = torch.autograd.grad(loss_M.sum(), theta)
        rate_M1 = self.schedule.rate_S[self.clock_M, None]
        self.adam.update(self.held.theta_NK, gradient_MK, rate_M1)
        self._advance(reward_M.detach())

    def _mask(self, theta_MK: Tensor, area_MA: Tensor) -> Tensor:
        with torch.no_grad():
            taken = occupied(self.held.previous_NJK, area_MA, self.canvas, self.mask)
        temperature_M11 = self.schedule.temperature_S[self.clock_M, None, None]
        return coarse_mask(theta_MK, area_MA, taken, self.canvas, self.mask, temperature_M11)

    def _reward(self, mask_MAP: Tensor) -> Tensor:
        slot_M = torch.arange(len(mask_MAP), device=mask_MAP.device)
        level_MA = self.held.level_NSA[slot_M, self.clock_M.clamp(max=self.steps - 1)]
        full = self.canvas.upsample(mask_MAP)
        return self.held.scene.play(full, level_MA, self.classify, self.objective)

    def _penalty(self, mask_MAP: Tensor, area_MA: Tensor) -> Tensor:
        """Weighted penalties, (M,), mean over the areas."""
        outline_MA = outline_per_area(self.canvas.unflatten(mask_MAP))
        penalty_MA = self.objective.outline_weight * outline_MA
        if self.mask.area == "vecsort":
            penalty_MA = penalty_MA + self.objective.area_weight * vecsort_penalty(
                mask_MAP, area_MA
            )
        return penalty_MA.mean(1)

    def _advance(self, reward_M: Tensor) -> None:
        """The clocks go on; that of a network with enough reward jumps to the last steps."""
        self.updates_M.add_(self.clock_M < self.steps)
        self.clock_M.add_(1).clamp_(max=self.steps)
        if self.schedule.config.enough is None:
            return
        first_M = self.clock_M == 1
        self.reward_M.copy_(torch.where(first_M, reward_M, self.reward_M.lerp(reward_M, RECENT)))
        jump = torch.full_like(self.clock_M, self.jump)
        enough_M = (self.reward_M >= self.schedule.config.enough) & (self.clock_M >= SETTLED)
        self.clock_M.copy_(torch.where(enough_M, self.clock_M.maximum(jump), self.clock_M))
