"""Several explanations of one image: how restarts, rounds or seeds agree, overlap and add up.

Shapes: J explanations of one image (restarts, rounds or seeds; images may differ in how many they
have), N images, A ascending areas, H, W. Masks are in [0, 1], 1 = keep. Where there is no pair of
explanations, or a mask is empty, the value is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core.metrics.localisation import soft_precision


def pairwise_iou(hard_JAHW: Tensor) -> Tensor:
    """Mean over pairs of |B_i & B_j| / |B_i | B_j|, (A,) in 0..1.

    hard_JAHW  bool, `top_area` of the masks
    Over restarts it is low where they find different explanations; over seeds (or of a batched
    against a single run) it is stability, 1 where nothing depends on chance.
    """
    first, second = _pairs(hard_JAHW)
    shared = (first & second).double().sum((2, 3))
    return (shared / (first | second).double().sum((2, 3))).mean(0)


def mask_overlap(mask_JAHW: Tensor) -> Tensor:
    """Mean over pairs of sum min(m_i, m_j) / min(sum m_i, sum m_j), (A,) in 0..1.

    0: no two masks share anything; 1: of any two, one lies within the other. Soft or hard masks.
    """
    first, second = _pairs(mask_JAHW)
    shared = torch.minimum(first, second).sum((2, 3))
    smaller = torch.minimum(first.sum((2, 3)), second.sum((2, 3)))
    return (shared / smaller).mean(0)


def union_coverage(mask_JAHW: Tensor) -> Tensor:
    """Share of the image that the explanations cover together, mean of max_j m_j: (A,) in 0..1."""
    return mask_JAHW.amax(0).mean((1, 2))


def keeping_count(kept_JA: Tensor, full_score: float, share: float = 0.9) -> Tensor:
    """How many of the explanations keep `share` of the image's score, (A,) int64."""
    return (kept_JA >= share * full_score).sum(0)


def context_reliance(mask_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """Share of the mask outside the object, (N, A) in 0..1: 1 - soft precision.

    truth_NHW  bool, True on the object
    """
    return 1 - soft_precision(mask_NAHW, truth_NHW)


def _pairs(mask_JAHW: Tensor) -> tuple[Tensor, Tensor]:
    """Both members of every pair of explanations, each (J (J - 1) / 2, A, H, W)."""
    count = len(mask_JAHW)
    first, second = torch.triu_indices(count, count, offset=1, device=mask_JAHW.device)
    return mask_JAHW[first], mask_JAHW[second]
