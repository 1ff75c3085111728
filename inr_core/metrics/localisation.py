"""Localisation: how masks lie on the ground-truth object S (a segmentation, or boxes).

A photograph is centred on its object and faithful masks leave it at large areas: report chance and
ceiling beside precision, and the centre mask in the same table. Where a metric has no meaning (no
pixel of S, an empty mask) it is NaN.

Shapes: N images, A ascending areas, H, W. Masks are in [0, 1], 1 = keep; `hard_NAHW` is `top_area`
of them, bool; `truth_NHW` is bool, True on S. Everything is in 0..1 and higher is better.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inr_core.game import gaussian_blur
from inr_core.metrics.ranking import Areas, ascending, rank_pixels

POINTING_SIGMA = 0.09  # of the short side: the pointing game's smoothing in EP's benchmark
POINTING_TOLERANCE = 15 / 224  # of the short side: 15 px at 224


def soft_precision(mask_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """sum(m S) / sum(m), (N, A): relevance mass; the energy-based pointing game if S is a box."""
    return _defined((mask_NAHW * truth_NHW[:, None]).sum((2, 3)) / mask_NAHW.sum((2, 3)), truth_NHW)


def hard_precision(hard_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """|B & S| / |B|, (N, A)."""
    return _defined(_shared(hard_NAHW, truth_NHW) / hard_NAHW.double().sum((2, 3)), truth_NHW)


def chance(truth_NHW: Tensor) -> Tensor:
    """|S| / HW, (N,): the precision of a random mask."""
    return _defined(truth_NHW.double().mean((1, 2))[:, None], truth_NHW)[:, 0]


def ceiling(truth_NHW: Tensor, areas: Areas) -> Tensor:
    """min(1, |S| / aHW), (N, A): the highest precision at each area.

    A hard mask has floor(aHW) pixels and may pass it by less than one pixel's worth.
    """
    area_A = torch.tensor(ascending(areas), dtype=torch.float64, device=truth_NHW.device)
    return (chance(truth_NHW)[:, None] / area_A).clamp_max(1)


def recall(hard_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """|B & S| / |S|, (N, A)."""
    return _shared(hard_NAHW, truth_NHW) / truth_NHW.double().sum((1, 2))[:, None]


def object_iou(hard_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """|B & S| / |B | S|, (N, A)."""
    either = (hard_NAHW | truth_NHW[:, None]).double().sum((2, 3))
    return _defined(_shared(hard_NAHW, truth_NHW) / either, truth_NHW)


def relevance_rank_accuracy(mask_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """|top_|S| & S| / |S|, (N, A): the highest |S| pixels of each mask against S."""
    size_N = truth_NHW.sum((1, 2))
    return recall(rank_pixels(mask_NAHW) < size_N[:, None, None, None], truth_NHW)


def pointing_hit(mask_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """1 where the peak of the smoothed sum of the masks lies within 15 px of S, else 0: (N,).

    Lengths are for a side of 224 and scale with the short side; distances are Euclidean, between
    pixel centres. Of several equal maxima one is taken, by the fixed order of `rank_pixels`.
    """
    distance_N = _distance(peak(mask_NAHW), truth_NHW)
    hit_N = (distance_N <= POINTING_TOLERANCE * min(truth_NHW.shape[1:])).double()
    return torch.where(truth_NHW.any(2).any(1), hit_N, math.nan)


def peak(mask_NAHW: Tensor) -> Tensor:
    """(row, column) of the maximum of the smoothed sum of the masks, (N, 2) int64."""
    total_N1HW = mask_NAHW.double().sum(1, keepdim=True)
    smooth_NHW = gaussian_blur(total_N1HW, POINTING_SIGMA * min(mask_NAHW.shape[2:]))[:, 0]
    # the blur's rounding errors would break ties by place; equal to 9 digits is a tie
    first_N = rank_pixels(smooth_NHW.round(decimals=9)).flatten(1).argmin(1)
    width = mask_NAHW.shape[3]
    return torch.stack((first_N // width, first_N % width), dim=1)


def _defined(value_NA: Tensor, truth_NHW: Tensor) -> Tensor:
    """NaN where there is no pixel of S, as where an object lies outside the crop."""
    return torch.where(truth_NHW.any(2).any(1)[:, None], value_NA, math.nan)


def _shared(hard_NAHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """|B & S|, (N, A) float64."""
    return (hard_NAHW & truth_NHW[:, None]).double().sum((2, 3))


def _distance(point_N2: Tensor, truth_NHW: Tensor) -> Tensor:
    """From each point to the nearest pixel of S, in pixels: (N,) float64; infinite without S."""
    _, h, w = truth_NHW.shape
    row, column = point_N2.double()[:, :, None, None].unbind(1)
    rows = torch.arange(h, device=truth_NHW.device)[:, None]
    columns = torch.arange(w, device=truth_NHW.device)
    distance_NHW = torch.hypot(rows - row, columns - column)
    return distance_NHW.masked_fill(~truth_NHW, math.inf).amin((1, 2))
