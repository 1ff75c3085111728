"""What a step does before the classifier: masks on the coarse grid, and what their shapes cost.

Shapes: M slots, R rounds, S steps, A areas a step, P coarse cells, K parameters, J earlier rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core.device import fused
from inr_core.game import ObjectiveConfig, outline_per_area
from inr_core.masks import Canvas, MaskConfig, coarse_mask, occupied, vecsort_penalty


@fused
def masks(
    theta_MK: Tensor,
    area_MA: Tensor,
    temperature_M11: Tensor,
    previous_MJK: Tensor,
    round_M: Tensor,
    canvas: Canvas,
    mask: MaskConfig,
    objective: ObjectiveConfig,
) -> tuple[Tensor, Tensor]:
    """Coarse masks (M, A, h, w), and their weighted penalties (M,), means over the areas."""
    with torch.no_grad():
        taken = occupied(previous_MJK, area_MA, canvas, mask, round_M)
    mask_MAP = coarse_mask(theta_MK, area_MA, taken, canvas, mask, temperature_M11)
    mask_MAhw = canvas.unflatten(mask_MAP)
    penalty_MA = objective.outline_weight * outline_per_area(canvas.unflatten(mask_MAP))
    if mask.area == "vecsort":
        penalty_MA = penalty_MA + objective.area_weight * vecsort_penalty(mask_MAP, area_MA)
    return mask_MAhw, penalty_MA.mean(1)
