"""Grids of coordinates in [-1, 1], and interpolation from few of them to many."""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

ORDER = 6  # points from which a value is interpolated, each way


def centres(count: int, like: Tensor) -> Tensor:
    """Centres of `count` equal cells along a side, (count,), on the device and in the precision."""
    index = torch.arange(count, dtype=like.dtype, device=like.device)
    return (2 * index + 1) / count - 1


def spread(points: int, cells: int, like: Tensor) -> Tensor:
    """Points evenly spread from the first of `cells` centres to the last, (points,)."""
    end = 1 - 1 / cells
    return torch.linspace(-end, end, points, dtype=like.dtype, device=like.device)


def grid(rows_h: Tensor, columns_w: Tensor) -> Tensor:
    """All pairs of these coordinates, (h * w, 2), row first."""
    return torch.stack(torch.meshgrid(rows_h, columns_w, indexing="ij"), dim=-1).flatten(0, 1)


@lru_cache(maxsize=16)
def interpolation(points: int, cells: int) -> Tensor:
    """Matrix (cells, points), float64, from values at the `spread` points to those at the centres.

    At each cell the polynomial through the six nearest points (Lagrange): exact up to degree 5.
    """
    end = 1 - 1 / cells
    at = [end * (2 * j / (points - 1) - 1) for j in range(points)]
    places = [(2 * i + 1) / cells - 1 for i in range(cells)]
    return torch.tensor([_weights(place, at) for place in places], dtype=torch.float64)


def _weights(place: float, at: list[float]) -> list[float]:
    """What the value at each point contributes to that at `place`."""
    first = min(max(bisect(at, place) - ORDER // 2, 0), len(at) - ORDER)
    nearest = range(first, first + ORDER)
    weights = [0.0] * len(at)
    for j in nearest:
        others = [at[k] for k in nearest if k != j]
        weights[j] = prod((place - other) / (at[j] - other) for other in others)
    return weights
