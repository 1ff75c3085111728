"""Shape: how long the outline of a hard mask is, and in how many pieces it lies.

Shapes: N mask sets, A areas, M = N * A masks, P = H * W pixels. Hard masks are bool, True = keep.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.game import gaussian_blur


def perimeter(hard_NAHW: Tensor, *, sigma: float = 2.0) -> Tensor:
    """Length of the outline in pixels, (N, A) float64; beyond the image nothing is kept, so that
    where a mask touches the border, the border is its outline.

    It is the total variation of the mask after a Gaussian of `sigma` pixels: the sum of the
    gradient's magnitude at the corners between four pixels. The blur takes away the staircase that
    a slanted edge has on a grid; it also shortens the outline of what is thinner than some
    2 sigma, so that dust is seen in the number of components rather than here.
    """
    padded = functional.pad(hard_NAHW.double(), (math.ceil(3 * sigma) + 1,) * 4)
    smooth = gaussian_blur(padded, sigma)
    down, right = smooth.diff(dim=2), smooth.diff(dim=3)
    down = (down[..., 1:] + down[..., :-1]) / 2
    right = (right[..., 1:, :] + right[..., :-1, :]) / 2
    return torch.hypot(down, right).sum((2, 3))


def disc_ratio(hard_NAHW: Tensor, *, sigma: float = 2.0) -> Tensor:
    """Perimeter over that of the disc of equal area, (N, A); 1 for a disc, more if less compact.

    NaN for an empty mask.
    """
    pixels_NA = hard_NAHW.double().sum((2, 3))
    return perimeter(hard_NAHW, sigma=sigma) / (2 * (math.pi * pixels_NA).sqrt())


def component_labels(hard_MHW: Tensor) -> Tensor:
    """Label of each pixel's connected component, (M, H, W) int64; 0 outside the mask.

    Pixels that touch at a side or a corner are connected (8-connectivity). A label is the largest
    raster index of its component, counted from 1.
    """
    _, h, w = hard_MHW.shape
    label_MP = (hard_MHW * torch.arange(1, h * w + 1, device=hard_MHW.device).view(h, w)).flatten(1)
    while True:
        near_MHW = _highest_neighbour(_highest_neighbour(label_MP.view(-1, h, w), 1), 2) * hard_MHW
        near_MP = near_MHW.flatten(1)
        # A label names a pixel of its component. That pixel learns what all that bear its label
        # have met, and they take over its label, so that long components need few turns.
        known = functional.pad(near_MP, (1, 0)).scatter_reduce(1, label_MP, near_MP, "amax")
        found_MP = known.gather(1, near_MP)
        if torch.equal(found_MP, label_MP):
            return label_MP.view(-1, h, w)
        label_MP = found_MP


def _highest_neighbour(label_MHW: Tensor, dim: int) -> Tensor:
    """Maximum of each pixel and of those before and after it along one dimension."""
    length = label_MHW.shape[dim] - 1
    step = torch.maximum(label_MHW.narrow(dim, 0, length), label_MHW.narrow(dim, 1, length))
    first, last = label_MHW.narrow(dim, 0, 1), label_MHW.narrow(dim, length, 1)
    return torch.maximum(torch.cat((first, step), dim), torch.cat((step, last), dim))


def count_components(hard_NAHW: Tensor, *, significant: float = 0.001) -> tuple[Tensor, Tensor]:
    """Number of connected components (8-connectivity), each (N, A) int64: all, and the significant.

    significant  smallest share of the image of a significant component
    """
    n, a, h, w = hard_NAHW.shape
    label_MP = component_labels(hard_NAHW.flatten(0, 1)).flatten(1)
    size = torch.zeros(n * a, h * w + 1, dtype=torch.int64, device=hard_NAHW.device)
    size = size.scatter_add_(1, label_MP, torch.ones_like(label_MP))[:, 1:]  # without the outside
    every = (size > 0).sum(1)
    large = ((size > 0) & (size >= significant * h * w)).sum(1)
    return every.view(n, a), large.view(n, a)
