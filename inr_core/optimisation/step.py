"""A step of all slots, but for the classifier: what it is shown, and what follows from its answer.

On a GPU each of the two functions becomes a few kernels; see `fused`.

Shapes: M slots, R rounds, S steps of the schedule, A areas a step, P coarse cells, K parameters,
J earlier rounds, C channels, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.device import fused
from inr_core.game import ObjectiveConfig, outline_per_area
from inr_core.masks import Canvas, MaskConfig, coarse_mask, occupied, vecsort_penalty
from inr_core.optimisation.adam import Adam
from inr_core.optimisation.networks import Networks
from inr_core.optimisation.repulsion import repeated
from inr_core.optimisation.schedule import Schedule

RECENT = 0.2  # weight of the newest step in the running mean of the reward
SETTLED = 5  # steps before that mean says anything


@dataclass(frozen=True, slots=True)
class Clocks:
    """How far M networks are; changed in place.

    step_M     step of the schedule that comes next; that of a finished network is S
    updates_M  steps that each has taken
    reward_M   running mean of each network's reward
    """

    step_M: Tensor
    updates_M: Tensor
    reward_M: Tensor

    @classmethod
    def finished(cls, like_MK: Tensor, steps: int) -> Clocks:
        """Of slots without a network, on the device and in the precision of their parameters."""
        step_M = torch.full((len(like_MK),), steps, device=like_MK.device)
        return cls(step_M, torch.zeros_like(step_M), like_MK.new_zeros(len(like_MK)))

    def begin(self, slots: list[int]) -> None:
        """Set those of some slots back to the start."""
        self.step_M[slots] = 0
        self.updates_M[slots] = 0


@fused
def look(
    theta_MK: Tensor,
    step_M: Tensor,
    held: Networks,
    schedule: Schedule,
    canvas: Canvas,
    mask: MaskConfig,
    objective: ObjectiveConfig,
) -> tuple[Tensor, Tensor]:
    """What the classifier is to see, and the masks' weighted penalties (M,), means over the areas.

    Of every network the kept images, then those with the mask removed; all of them (.., C, H, W).
    """
    area_MA = schedule.area_RSA[held.round_N, step_M]
    mask_MAP = masks(
        theta_MK,
        area_MA,
        schedule.temperature_S[step_M, None, None],
        held,
        canvas,
        mask,
    )
    slot_M = torch.arange(len(held), device=step_M.device)
    level_MA = held.level_NSA[slot_M, step_M.clamp(max=schedule.config.steps - 1)]
    mask_MAhw = canvas.unflatten(mask_MAP)
    penalty_MA = objective.outline_weight * outline_per_area(mask_MAhw)
    if mask.area == "vecsort":
        penalty_MA = penalty_MA + objective.area_weight * vecsort_penalty(mask_MAP, area_MA)
    if objective.repel_weight and held.others.theta_NRK.shape[1]:
        with torch.no_grad():
            earlier_RMAP = held.others.masks(area_MA, canvas, mask)
        repeated_MA = repeated(mask_MAP, earlier_RMAP, canvas.weight_P)
        penalty_MA = penalty_MA + objective.repel_weight * repeated_MA
    return held.scene.seen(mask_MAhw, level_MA, objective), penalty_MA.mean(1)


def masks(
    theta_MK: Tensor,
    area_MA: Tensor,
    temperature_M11: Tensor,
    held: Networks,
    canvas: Canvas,
    mask: MaskConfig,
) -> Tensor:
    """Coarse masks (M, A, P), outside those of the earlier rounds."""
    with torch.no_grad():
        taken = occupied(held.previous_NJK, area_MA, canvas, mask, held.round_N)
    return coarse_mask(theta_MK, area_MA, taken, canvas, mask, temperature_M11)


@fused
def move(
    theta_MK: Tensor,
    gradient_MK: Tensor,
    reward_M: Tensor,
    adam: Adam,
    clocks: Clocks,
    schedule: Schedule,
) -> None:
    """Move the parameters against the gradient, and the clocks, all in place."""
    adam.update(theta_MK, gradient_MK, schedule.rate_S[clocks.step_M, None])
    tick(reward_M, clocks, schedule)


def tick(reward_M: Tensor, clocks: Clocks, schedule: Schedule) -> None:
    """The clocks go on; that of a network with enough reward jumps to the last steps."""
    config = schedule.config
    clocks.updates_M.add_(clocks.step_M < config.steps)
    clocks.step_M.add_(1).clamp_(max=config.steps)
    if config.enough is None:
        return
    mean_M = clocks.reward_M.lerp(reward_M, RECENT)
    clocks.reward_M.copy_(torch.where(clocks.step_M == 1, reward_M, mean_M))
    enough_M = (clocks.reward_M >= config.enough) & (clocks.step_M >= SETTLED)
    jumped_M = clocks.step_M.clamp(min=max(0, config.steps - config.cooldown))
    clocks.step_M.copy_(torch.where(enough_M, jumped_M, clocks.step_M))
