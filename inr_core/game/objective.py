"""The objective: rewards of a game, and the penalties that shape the mask.

Shapes: M perturbed images, K classes, N networks, A areas, h x w coarse grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.device import fused

Game = Literal["auto", "preservation", "deletion", "dual"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """What is maximised.

    game             `preservation`: the score survives inside the mask; `deletion`: it does not
                     survive outside; `dual`: both; `auto`: dual, but preservation when there are
                     several rounds, because deletion leaves no evidence for the next one
    deletion_weight  weight of the deletion reward in the dual game
    area_weight      weight of the vecsort penalty, where that is the area constraint
    outline_weight   weight of the outline's length per area (`outline_per_area`): larger = rounder
    """

    game: Game = "auto"
    deletion_weight: float = 1.0
    area_weight: float = 30.0
    outline_weight: float = 0.6

    def __post_init__(self) -> None:
        if self.game not in ("auto", "preservation", "deletion", "dual"):
            raise ValueError(
                f"game must be auto, preservation, deletion or dual, got {self.game!r}"
            )
        weights = (self.deletion_weight, self.area_weight, self.outline_weight)
        if min(weights) < 0:
            raise ValueError(f"the weights of the objective must not be negative, got {weights}")

    def for_rounds(self, rounds: int) -> ObjectiveConfig:
        """The same with the game that `auto` stands for."""
        if self.game != "auto":
            return self
        return replace(self, game="dual" if rounds == 1 else "preservation")

    @property
    def keeps(self) -> bool:
        """Whether the kept image is scored while optimising."""
        return self.game != "deletion"

    @property
    def removes(self) -> bool:
        """Whether the image with the mask removed is scored while optimising."""
        return self.game != "preservation"


def log_kept(logits_MK: Tensor, target_M: Tensor) -> Tensor:
    """log p_c, (M,): reward of the preservation game."""
    return torch.log_softmax(logits_MK, dim=1).gather(1, target_M[:, None])[:, 0]


def log_removed(logits_MK: Tensor, target_M: Tensor) -> Tensor:
    """log(1 - p_c), (M,): reward of the deletion game, without cancellation near p_c = 1."""
    others = logits_MK.scatter(1, target_M[:, None], -math.inf)
    return others.logsumexp(1) - logits_MK.logsumexp(1)


@fused
def rewards(logits_MK: Tensor, target_N: Tensor, objective: ObjectiveConfig) -> Tensor:
    """Mean reward of each network, (N,), over its areas.

    logits_MK  of every network the kept images, then those with the mask removed
    """
    n, count = len(target_N), len(logits_MK) // len(target_N)
    target_M = target_N.repeat_interleave(count)
    areas = count // (objective.keeps + objective.removes)
    reward_NA = logits_MK.new_zeros(n, areas)
    if objective.keeps:
        reward_NA = reward_NA + log_kept(logits_MK, target_M).view(n, -1)[:, :areas]
    if objective.removes:
        weight = objective.deletion_weight if objective.keeps else 1.0
        reward_NA = reward_NA + weight * log_removed(logits_MK, target_M).view(n, -1)[:, -areas:]
    return reward_NA.mean(1)


def outline_per_area(mask_NAhw: Tensor) -> Tensor:
    """Total variation over the mean squared mask, (N, A); 1 for a disc as large as the image.

    A hard disc of area a has 1 / sqrt(a). The square, which is the area of a hard mask and less
    for a soft one, makes soft masks no way out. Beyond the border of the image the mask is 0, so
    that a mask gains nothing by leaning on it.
    """
    h, w = mask_NAhw.shape[-2:]
    padded = functional.pad(mask_NAhw, (1, 1, 1, 1))
    down = padded[..., 1:, :-1] - padded[..., :-1, :-1]
    right = padded[..., :-1, 1:] - padded[..., :-1, :-1]
    # 1e-8 keeps the square root differentiable where the mask is flat
    length = (down.square() + right.square() + 1e-8).sqrt().sum((-1, -2))
    return length / (2 * math.sqrt(math.pi * h * w) * mask_NAhw.square().mean((-1, -2)))


def final_objective(kept_NA: Tensor, removed_NA: Tensor, game: Game) -> Tensor:
    """One number per mask set in [0, 1], higher is better, (N,): what ranks the restarts.

    Mean over areas of the kept score (preservation), of 1 - the removed score (deletion), or of
    both (dual).
    """
    reward = {
        "preservation": kept_NA,
        "deletion": 1 - removed_NA,
        "dual": (kept_NA + 1 - removed_NA) / 2,
    }[game]
    return reward.mean(1)
