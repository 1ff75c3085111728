"""Behaviour in area: whether masks have their areas, are binary, and grow without going back.

Give areas that were not trained on as well. All masks of a set belong to ascending areas.

Shapes: N mask sets, A ascending areas, H, W. Masks are in [0, 1], 1 = keep. Where a metric has no
meaning (fewer than 2 areas, an empty mask, no growth) it is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core.metrics.ranking import Areas, ascending


def area_error(mask_NAHW: Tensor, areas: Areas) -> Tensor:
    """|mean(m_a) - a|, (N, A); 0 is best."""
    area_A = torch.tensor(ascending(areas), dtype=mask_NAHW.dtype, device=mask_NAHW.device)
    return (mask_NAHW.mean((2, 3)) - area_A).abs()


def binariness_gap(mask_NAHW: Tensor) -> Tensor:
    """4 mean m (1 - m), (N, A) in 0..1: 0 for a binary mask, 1 for .5 everywhere."""
    return 4 * (mask_NAHW * (1 - mask_NAHW)).mean((2, 3))


def nestedness(mask_NAHW: Tensor) -> Tensor:
    """Mean over consecutive areas a < a' of sum min(m_a, m_a') / sum m_a, (N,) in 0..1.

    1: every mask lies within the next.
    """
    smaller, larger = mask_NAHW[:, :-1], mask_NAHW[:, 1:]
    within = torch.minimum(smaller, larger).sum((2, 3)) / smaller.sum((2, 3))
    return within.mean(1)


def path_ratio(mask_NAHW: Tensor) -> Tensor:
    """sum_k mean|m_{k+1} - m_k| / |mean m_K - mean m_1|, (N,), >= 1.

    1 if and only if no pixel ever decreases (or none ever increases).
    """
    path_N = mask_NAHW.diff(dim=1).abs().sum((1, 2, 3))
    return path_N / (mask_NAHW[:, -1] - mask_NAHW[:, 0]).sum((1, 2)).abs()


def monotone_share(kept_NA: Tensor, tolerance: float = 0.01) -> Tensor:
    """Share of the steps to the next area at which the kept score does not fall, (N,) in 0..1.

    tolerance  a fall of at most so much is none
    """
    return (kept_NA.diff(dim=1) >= -tolerance).double().mean(1)
