"""Bootstrap intervals: how far a mean over images could be off by the choice of the images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over `images` images and its percentile interval; NaN where there is no image."""

    mean: float
    low: float
    high: float
    images: int


def bootstrap_interval(
    value_N: Tensor, *, seed: int, level: float = 0.95, draws: int = 2000
) -> Interval:
    """Mean of the values over images and its bootstrap interval.

    value_N  one value per image; images whose value is NaN (undefined there) are left out
    level    probability of the interval, in (0, 1); draws: resamples of the images
    """
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level must lie in (0, 1) and draws be positive, got {level}, {draws}")
    value = value_N.detach().to("cpu", torch.float64)
    value = value[~value.isnan()]
    count = len(value)
    if not count:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, images=0)
    generator = torch.Generator().manual_seed(seed)
    means = torch.stack(  # one by one: all draws at once would not fit for many images
        [value[torch.randint(count, (count,), generator=generator)].mean() for _ in range(draws)]
    )
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.quantile(means, ends).tolist()
    return Interval(mean=value.mean().item(), low=low, high=high, images=count)


def paired_interval(
    first_N: Tensor, second_N: Tensor, *, seed: int, level: float = 0.95, draws: int = 2000
) -> Interval:
    """Mean of first - second over the same images and its bootstrap interval.

    Positive: the first is higher. An image counts where both values are defined.
    """
    if first_N.shape != second_N.shape:
        raise ValueError(
            f"pairs need the same images, got {len(first_N)} and {len(second_N)} values"
        )
    return bootstrap_interval(first_N - second_N, seed=seed, level=level, draws=draws)
