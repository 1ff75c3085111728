"""Certificates of stability: how often a prediction survives further reveals, by sampling.

Soft stability of Jin et al. 2025 (arXiv 2504.13787): a mask alone makes the classifier predict a
class; reveal up to r of the patches that it hides, each such set as likely as any other. The share
of sets with which the prediction stays is estimated from N independent ones, and by Hoeffding's
inequality lies within e of the truth with probability 1 - d for N >= ln(2 / d) / (2 e^2).

Shapes: N samples, G hidden patches, P x P patches, H, W.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sample_count(error: float, doubt: float) -> int:
    """Samples for an estimate within `error` but for a probability of `doubt`, both in (0, 1).

    Raises ValueError for others.
    """
    if not (0 < error < 1 and 0 < doubt < 1):
        raise ValueError(f"error and doubt must be in (0, 1), got {error} and {doubt}")
    return math.floor(math.log(2 / doubt) / (2 * error**2)) + 1


def further_reveals(hidden: int, radius: int, samples: int, generator: torch.Generator) -> Tensor:
    """Sets of at most `radius` of `hidden` patches, uniform over all such sets: (N, G) bool."""
    sizes = torch.arange(min(radius, hidden) + 1, dtype=torch.float64)
    total = torch.tensor(hidden, dtype=torch.float64)
    ways = total.add(1).lgamma() - sizes.add(1).lgamma() - (total - sizes).add(1).lgamma()
    size_N = torch.multinomial(ways.softmax(0), samples, replacement=True, generator=generator)
    order_NG = torch.rand(samples, hidden, generator=generator, dtype=torch.float64).argsort(1)
    return order_NG.argsort(1) < size_N[:, None]


def patch_numbers(patches: int, size: tuple[int, int]) -> Tensor:
    """Which of the `patches` x `patches` patches of an image a pixel lies in: (H, W) int64."""
    row_H, column_W = (torch.arange(side) * patches // side for side in size)
    return row_H[:, None] * patches + column_W


def hidden_patches(hard_HW: Tensor, number_HW: Tensor) -> Tensor:
    """Numbers of the patches that a hard mask (bool, 1 = keep) does not show wholly: (G,)."""
    return torch.bincount(number_HW[~hard_HW]).nonzero()[:, 0]


def revealed(hard_HW: Tensor, number_HW: Tensor, hidden_G: Tensor, chosen_NG: Tensor) -> Tensor:
    """The hard mask and, with each of the samples, the patches chosen: (N, H, W) bool."""
    shown = torch.zeros(len(chosen_NG), int(number_HW.max()) + 1, dtype=torch.bool)
    shown[:, hidden_G] = chosen_NG
    return hard_HW | shown[:, number_HW]
