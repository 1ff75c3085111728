"""Area constraints: the exact threshold, the paper's vecsort penalty, and the areas to train on.

Shapes: N networks, A areas, P cells of the coarse grid. An area is the mean of a mask, a fraction
of the classifier's input in (0, 1).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inr_core.device import fused

GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, fill [0, 1) evenly at every length
ITERATIONS = {torch.float32: 12, torch.float64: 20}  # of the threshold's search: exact to rounding


def check_areas(areas: tuple[float, ...]) -> None:
    """Raise ValueError unless these can be the areas of stored masks."""
    if not areas or not all(0 < a < 1 for a in areas):
        raise ValueError(f"areas must lie in (0, 1), got {areas}")
    if list(areas) != sorted(set(areas)):
        raise ValueError(f"areas must be ascending and distinct, got {areas}")


class _Threshold(torch.autograd.Function):
    """tau with sum_i v_i sigmoid((f_i - tau) / T) = a; derivative by implicit differentiation."""

    @staticmethod
    def forward(
        ctx: Any,
        field_NAP: Tensor,
        area_NA: Tensor,
        weight_NAP: Tensor,
        temperature: float | Tensor,
    ) -> Tensor:
        tau_NA1 = _solve(field_NAP, area_NA, weight_NAP, temperature)
        mask = torch.sigmoid((field_NAP - tau_NA1) / temperature)
        slope_NAP = weight_NAP * mask * (1 - mask)
        ctx.save_for_backward(slope_NAP)
        return tau_NA1

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (slope_NAP,) = ctx.saved_tensors
        tiny = torch.finfo(slope_NAP.dtype).tiny
        share = slope_NAP / slope_NAP.sum(-1, keepdim=True).clamp_min(tiny)
        return grads[0] * share, None, None, None


def threshold(
    field_NAP: Tensor, area_NA: Tensor, weight_NAP: Tensor, temperature: float | Tensor
) -> Tensor:
    """The threshold tau, (N, A, 1), at which the weighted mean of the mask is exactly the area.

    weight_NAP  share of every cell in the area, >= 0; its sum (what may be kept) exceeds area_NA
    d tau / d f_i = s_i / sum(s), s_i = v_i m_i (1 - m_i): METHOD "exact area".
    """
    tau: Tensor = _Threshold.apply(field_NAP, area_NA, weight_NAP, temperature)
    return tau


@fused
def _solve(
    field_NAP: Tensor, area_NA: Tensor, weight_NAP: Tensor, temperature: float | Tensor
) -> Tensor:
    """Newton's steps, halving the bracket wherever one would leave it.

    Were all cells equal to c, tau would be c - T logit(a / sum(v)): this brackets the root.
    """
    area = area_NA[..., None]
    offset = temperature * torch.logit(area / weight_NAP.sum(-1, keepdim=True))
    low = field_NAP.amin(-1, keepdim=True) - offset
    high = field_NAP.amax(-1, keepdim=True) - offset
    tau = (low + high) / 2
    tiny = torch.finfo(tau.dtype).tiny
    for _ in range(ITERATIONS[tau.dtype]):
        mask = torch.sigmoid((field_NAP - tau) / temperature)
        kept = weight_NAP * mask
        excess = kept.sum(-1, keepdim=True) - area
        slope = (kept * (1 - mask)).sum(-1, keepdim=True) / temperature
        low, high = torch.where(excess > 0, tau, low), torch.where(excess > 0, high, tau)
        step = tau + excess / slope.clamp_min(tiny)
        inside = (step >= low) & (step <= high)
        tau = torch.where(inside, step, (low + high) / 2)
    return tau


def vecsort_penalty(mask_NAP: Tensor, area_NA: Tensor) -> Tensor:
    """R_a(m) = mean_i (vecsort(m)_i - r_a,i)^2, (N, A), of Byra and Skibbe and of EP.

    r_a is the sorted 0/1 vector whose largest fraction a is one.
    """
    cells = mask_NAP.shape[-1]
    rank = torch.arange(cells, device=mask_NAP.device, dtype=mask_NAP.dtype)
    template = (rank >= torch.round((1 - area_NA) * cells)[..., None]).to(mask_NAP.dtype)
    return (mask_NAP.sort(-1).values - template).square().mean(-1)


def stratified_areas(uniform: Tensor, low: float, high: float) -> Tensor:
    """Areas from uniform draws in [0, 1), (..., A): one per stratum of logit(area)."""
    count = uniform.shape[-1]
    strata = torch.arange(count, dtype=uniform.dtype, device=uniform.device)
    position = (strata + uniform) / count
    ends = torch.logit(torch.tensor([low, high], dtype=torch.float64)).tolist()
    return torch.sigmoid(ends[0] + position * (ends[1] - ends[0]))


def area_sequence(steps: int, count: int, low: float, high: float) -> Tensor:
    """Areas to train on, (S, A) in [low, high]: evenly spread in logit(area) over any few steps.

    A Kronecker sequence, one area per stratum and step; nothing is random.
    """
    step_S = torch.arange(steps, dtype=torch.float64)[:, None]
    shift_A = torch.arange(count, dtype=torch.float64) / count
    return stratified_areas((GOLDEN * step_S + shift_A) % 1, low, high).float()
