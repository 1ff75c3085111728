"""Masks on the input of another classifier, which may see another part of the image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

Box = Mapping[str, float]  # x0, y0, x1, y1 in original pixels


def onto(mask_HW: Tensor, seen: Box, box: Box, size: tuple[int, int]) -> Tensor:
    """A mask of what one classifier saw, on the input of one that saw `box`: of `size` (H, W).

    seen  the box of the mask; outside it, where nothing is known, the mask is 0
    """
    if dict(seen) == dict(box) and tuple(mask_HW.shape) == size:
        return mask_HW
    x, y = (_places(seen, box, side, axis) for side, axis in zip(size[::-1], "xy", strict=True))
    grid = torch.stack([x.expand(size), y[:, None].expand(size)], -1)
    found = functional.grid_sample(
        mask_HW[None, None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0, 0]
    return found * (grid.abs() <= 1).all(-1)


def _places(seen: Box, box: Box, side: int, axis: str) -> Tensor:
    """Centres of the pixels along one axis in -1..1 of what was seen."""
    centre = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    original = box[f"{axis}0"] + centre * (box[f"{axis}1"] - box[f"{axis}0"])
    low, high = seen[f"{axis}0"], seen[f"{axis}1"]
    return (2 * (original - low) / (high - low) - 1).float()
