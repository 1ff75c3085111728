"""The objective: rewards of a game, and the penalties that shape the mask.

Shapes: M perturbed images, K classes, N networks, A areas, h x w coarse grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor
from torch.nn import functional

from inr_core.device import fused
from inr_core.game.claim import Head, log_kept, log_removed

Game = Literal["auto", "preservation", "deletion", "dual"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """What is maximised.

    game             `preservation`: the score survives inside the mask; `deletion`: it does not
                     survive outside; `dual`: both; `auto`: dual, but preservation where several
                     explanations follow each other (rounds, or restarts that repel each other),
                     because deletion leaves no evidence for the next one
    deletion_weight  weight of the deletion reward in the dual game
    area_weight      weight of the vecsort penalty, where that is the area constraint
    outline_weight   weight of the outline's length per area (`outline_per_area`): larger = rounder
    repel_weight     weight of what a mask repeats of earlier restarts (`repeated`); 0: restarts
                     are independent
    contrast         a class b (`runner-up`: the highest other one of the whole image): what makes
                     it c rather than b is looked for, log p_c - log p_b in place of log p_c, and
                     log p_b - log p_c in place of log(1 - p_c)
    """

    game: Game = "auto"
    deletion_weight: float = 1.0
    area_weight: float = 30.0
    outline_weight: float = 0.6
    repel_weight: float = 1.0
    contrast: int | str | None = None

    def __post_init__(self) -> None:
        if self.game not in ("auto", "preservation", "deletion", "dual"):
            raise ValueError(
                f"game must be auto, preservation, deletion or dual, got {self.game!r}"
            )
        weights = (
            self.deletion_weight,
            self.area_weight,
            self.outline_weight,
            self.repel_weight,
        )
        if min(weights) < 0:
            raise ValueError(f"the weights of the objective must not be negative, got {weights}")

    def settled(self, several: bool) -> ObjectiveConfig:
        """The same with the game that `auto` stands for, where explanations follow each other."""
        if self.game != "auto":
            return self
        return replace(self, game="preservation" if several else "dual")

    @property
    def keeps(self) -> bool:
        """Whether the kept image is scored while optimising."""
        return self.game != "deletion"

    @property
    def removes(self) -> bool:
        """Whether the image with the mask removed is scored while optimising."""
        return self.game != "preservation"


@fused
def rewards(
    logits_MK: Tensor,
    target_N: Tensor,
    objective: ObjectiveConfig,
    head: Head = "softmax",
    contrast_N: Tensor | None = None,
    *,
    bounded: bool = False,
) -> Tensor:
    """Mean reward of each network, (N,), over its areas.

    logits_MK  of every network the kept images, then those with the mask removed
    bounded    0 is the highest also with a contrast, whose rewards then are the logarithms of
               p_c / (p_c + p_b) and p_b / (p_c + p_b)
    """
    n, count = len(target_N), len(logits_MK) // len(target_N)
    target_M = target_N.repeat_interleave(count)
    contrast_M = None if contrast_N is None else contrast_N.repeat_interleave(count)
    areas = count // (objective.keeps + objective.removes)

    def reward(of: Callable[..., Tensor], part: slice) -> Tensor:
        reward_M = of(logits_MK, target_M, head, contrast_M)
        if bounded and contrast_M is not None:
            reward_M = functional.logsigmoid(reward_M)
        return reward_M.view(n, -1)[:, part]

    reward_NA = logits_MK.new_zeros(n, areas)
    if objective.keeps:
        reward_NA = reward_NA + reward(log_kept, slice(areas))
    if objective.removes:
        weight = objective.deletion_weight if objective.keeps else 1.0
        reward_NA = reward_NA + weight * reward(log_removed, slice(-areas, None))
    return reward_NA.mean(1)


def outline_per_area(mask_NAhw: Tensor) -> Tensor:
    """Total variation over the mean squared mask, (N, A); 1 for a disc as large as the image.

    A soft-edged disc of area a has 1 / sqrt(a); on the staircase of a hard one, differences along
    rows and columns measure 1.16 to 1.2 times that. The square, which is the area of a hard mask
    and less for a soft one, makes soft masks no way out. Beyond the border of the image the mask is
    0, so that a mask gains nothing by leaning on it.
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

    kept_NA, removed_NA  `claimed` of the kept and of the removed image
    Mean over areas of the kept score (preservation), of 1 - the removed score (deletion), or of
    both (dual).
    """
    reward = {
        "preservation": kept_NA,
        "deletion": 1 - removed_NA,
        "dual": (kept_NA + 1 - removed_NA) / 2,
    }[game]
    return reward.mean(1)
