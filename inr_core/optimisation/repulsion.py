"""Restarts of an image that keep away from each other: what a mask repeats of the earlier ones.

Unlike the masks of earlier rounds, those of earlier restarts may be used again: repeating more than
a part of them costs reward, and that only while optimising. A stored network is rendered without
the others.

Shapes: N networks, A areas, P coarse cells, R earlier restarts of the last one, K parameters.
Masks are in [0, 1]; 1 = keep, 0 = perturb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.masks import Canvas, MaskConfig, coarse_mask

ALLOWED = 0.5  # share of a mask that may lie in an earlier one: hard masks then have an IoU of 1/3


@dataclass(frozen=True, slots=True)
class Others:
    """The earlier restarts from which each of N networks is to keep away.

    theta_NRK  parameters, as many as the last restart has
    count_N    how many of these are each network's, the first ones
    """

    theta_NRK: Tensor
    count_N: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Others:
        """With both tensors changed alike."""
        return Others(change(self.theta_NRK), change(self.count_N))

    def masks(self, area_NA: Tensor, canvas: Canvas, mask: MaskConfig) -> Tensor:
        """Their masks at these areas, (R, N, A, P); 0 where a network has fewer."""
        nothing_NAP = area_NA.new_zeros(*area_NA.shape, len(canvas.weight_P))
        found = nothing_NAP.new_zeros(self.theta_NRK.shape[1], *nothing_NAP.shape)
        for r, theta_NK in enumerate(self.theta_NRK.unbind(1)):
            mask_NAP = coarse_mask(theta_NK, area_NA, nothing_NAP, canvas, mask)
            found[r] = torch.where((self.count_N > r)[:, None, None], mask_NAP, 0)
        return found


def repeated(mask_NAP: Tensor, earlier_RNAP: Tensor, weight_P: Tensor) -> Tensor:
    """Share of each mask that lies in an earlier one, beyond `ALLOWED`, summed over these: (N, A).

    weight_P  what each cell contributes to an area
    """
    within_RNA = (weight_P * mask_NAP * earlier_RNAP).sum(-1)
    share_RNA = within_RNA / (weight_P * mask_NAP).sum(-1)
    return (share_RNA - ALLOWED).clamp_min(0).sum(0)
