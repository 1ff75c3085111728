"""How far means over images could be off by the choice of the images: 95 % intervals.

Means have Student's interval: of 8 images whose scores crowd at 0 and 1 it holds the true mean 92
to 94 times of a hundred (the bootstrap's percentiles: 88), and of 20 and more 93 to 95. Shares of
images that do something or do not (`SHARES`) have Wilson's (1927), which is not empty where all do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

END = 0.975  # the interval's upper end; the lower one is as improbable
SHARES = ("pointing", "top1_kept")  # metrics that are 0 or 1 of every image


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over `images` images and its interval; NaN where there are too few of them."""

    mean: float
    low: float
    high: float
    images: int

    def __str__(self) -> str:
        """`.53 [.40 .66]`; without the ends where they are unknown."""
        if self.images < 2:
            return in_short(self.mean)
        small = max(abs(self.low), abs(self.high)) < 0.005
        short = in_short if small else _two_digits
        return f"{short(self.mean)} [{short(self.low)} {short(self.high)}]"


NOTHING = Interval(mean=math.nan, low=math.nan, high=math.nan, images=0)


def interval(metric: str, of_images: Mapping[Any, float]) -> Interval:
    """Mean of the values of images (by id) of a metric."""
    values = list(of_images.values())
    return share_interval(values) if metric in SHARES else mean_interval(values)


def difference(first: Mapping[Any, float], second: Mapping[Any, float]) -> Interval:
    """Mean of first - second, on the images that both have."""
    ids = sorted(first.keys() & second.keys())
    return mean_interval([first[i] - second[i] for i in ids])


def mean_interval(values: ArrayLike) -> Interval:
    """Student's interval; values that are NaN (undefined) are left out."""
    value = _defined(values)
    count = len(value)
    if not count:
        return NOTHING
    mean, half = float(value.mean()), math.nan
    if count > 1:
        half = float(stdtrit(count - 1, END) * value.std(ddof=1)) / math.sqrt(count)
    return Interval(mean=mean, low=mean - half, high=mean + half, images=count)


def share_interval(values: ArrayLike) -> Interval:
    """Wilson's interval of a share; the values are 0 or 1, NaN is left out."""
    value = _defined(values)
    count = len(value)
    if not count:
        return NOTHING
    share, z2 = float(value.mean()), float(ndtri(END)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * count)) / count) / (1 + z2 / count)
    return Interval(
        mean=share, low=max(0.0, middle - half), high=min(1.0, middle + half), images=count
    )


def in_short(value: float) -> str:
    """Two digits without the leading zero: .12, -.05, 1.36; what they do not show as a power."""
    return f"{value:.0e}" if _is_tiny(value) else _two_digits(value)


def _is_tiny(value: float) -> bool:
    return 0 < abs(value) < 0.0005


def _two_digits(value: float) -> str:
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def _defined(values: ArrayLike) -> NDArray[np.float64]:
    value = np.asarray(values, np.float64)
    return value[~np.isnan(value)]
