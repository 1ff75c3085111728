"""Where a region lies: in the original's pixels, and beside its object."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.images import Truth

MARGIN = 0.03  # of the side, around an object: masks are smooth, and outlines are drawn by hand


def place(hard_HW: Tensor, crop: Mapping[str, float]) -> dict[str, float | None]:
    """Bounding box and centroid of a region (bool), in pixels of the upright original.

    crop  what of the original the classifier saw
    All None where the region is empty.
    """
    rows, columns = hard_HW.nonzero(as_tuple=True)
    found: dict[str, float | None] = dict.fromkeys(("x0", "y0", "x1", "y1", "cx", "cy"))
    for axis, at, side in (("x", columns, hard_HW.shape[1]), ("y", rows, hard_HW.shape[0])):
        if not len(at):
            continue
        start, scale = crop[f"{axis}0"], (crop[f"{axis}1"] - crop[f"{axis}0"]) / side
        found[f"{axis}0"] = start + scale * at.min().item()
        found[f"{axis}1"] = start + scale * (at.max().item() + 1)
        found[f"c{axis}"] = start + scale * (at.double().mean().item() + 0.5)
    return found


def share_outside(hard_HW: Tensor, truth: Truth) -> float:
    """Share of a region (bool) outside the object; void pixels do not count."""
    counted = hard_HW & torch.from_numpy(~truth.ignore)
    outside = counted & torch.from_numpy(~truth.object)
    return outside.sum().item() / max(1, counted.sum().item())


def with_margin(truth: Truth) -> Tensor:
    """Object and void pixels, and all within a margin around them: (H, W) float, 0 or 1."""
    known = torch.from_numpy(truth.object | truth.ignore).float()
    pixels = round(MARGIN * known.shape[-1])
    wide = functional.max_pool2d(known[None, None], 2 * pixels + 1, stride=1, padding=pixels)
    return wide[0, 0]
