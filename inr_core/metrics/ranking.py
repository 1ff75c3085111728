"""Ranking of pixels by a mask, and the hard masks B_a made of it.

Pixels of equal value come in the order of one fixed pseudo-random permutation of the image's
pixels, so that a saturated mask gets no credit for reading order and the result is the same every
time.

Shapes: N mask sets, A ascending areas, P = H * W pixels; `...` is any leading dimensions. Areas are
fractions of the image in (0, 1]; masks are in [0, 1], 1 = keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inr_core.game import gaussian_blur

Areas = Sequence[float] | Tensor

FEATHER = 2 / 224  # standard deviation of a hard mask's edge, a share of the shorter side
_FLOAT32_ERROR = 2**-23  # an area held in float32 may be that much too small, relatively


def ascending(areas: Areas) -> tuple[float, ...]:
    """The areas as numbers; raises ValueError unless they ascend within (0, 1]."""
    values = tuple(float(a) for a in areas)
    if not values or values[0] <= 0 or values[-1] > 1 or list(values) != sorted(set(values)):
        raise ValueError(f"areas must be distinct, ascending and in (0, 1], got {values}")
    return values


def pixel_counts(areas: Areas, size: tuple[int, int]) -> list[int]:
    """floor(a H W) of every area."""
    pixels = size[0] * size[1]
    return [math.floor(a * pixels * (1 + _FLOAT32_ERROR)) for a in ascending(areas)]


def rank_pixels(mask: Tensor) -> Tensor:
    """Rank of every pixel in its mask, (..., H, W) int64; 0 has the highest value."""
    h, w = mask.shape[-2:]
    shuffle_P = torch.randperm(h * w, generator=torch.Generator().manual_seed(0)).to(mask.device)
    order = mask.flatten(-2)[..., shuffle_P].argsort(dim=-1, descending=True, stable=True)
    place = torch.arange(h * w, device=mask.device).expand(order.shape)
    return torch.empty_like(order).scatter_(-1, shuffle_P[order], place).view(mask.shape)


def top_area(mask: Tensor, areas: Areas) -> Tensor:
    """B_a, the floor(a H W) highest pixels of each area's mask: (..., A, H, W) bool."""
    counts = pixel_counts(areas, (mask.shape[-2], mask.shape[-1]))
    if mask.shape[-3] != len(counts):
        raise ValueError(f"{mask.shape[-3]} masks per set, but {len(counts)} areas")
    return rank_pixels(mask) < torch.tensor(counts, device=mask.device)[:, None, None]


def hard_masks(mask_NAHW: Tensor, areas: Areas) -> Tensor:
    """B_a as masks to be scored, with soft edges: (N, A, H, W), in the precision of the masks."""
    return feathered(top_area(mask_NAHW, areas).to(mask_NAHW.dtype))


def feathered(hard_NAHW: Tensor) -> Tensor:
    """Hard masks (floats) with soft edges, so that no edge of the mask is one of the image."""
    return gaussian_blur(hard_NAHW, FEATHER * min(hard_NAHW.shape[-2:]))
