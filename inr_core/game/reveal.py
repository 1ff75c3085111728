"""Images behind coarse masks in few kernels, for devices where launches and bytes cost.

What `perturb` does to interpolated masks, for both sides of the game at once. On a GPU each of the
two functions below becomes a kernel or two; no intermediate image is kept.

Shapes: N networks, A masks of each, h x w cells, S sides, L baselines, C channels, H, W.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inr_core.device import fused
from inr_core.game.perturbation import channels_last

Sides = tuple[bool, bool]  # whether the mask is kept, whether it is removed


def reveal(
    mask_NAhw: Tensor, image_NCHW: Tensor, baseline_NLCHW: Tensor, level_NA: Tensor, sides: Sides
) -> Tensor:
    """The images behind their masks, (N * S * A, C, H, W), in the images' precision.

    The gradient goes to the mask alone.
    """
    shown: Tensor = _Reveal.apply(mask_NAhw, image_NCHW, baseline_NLCHW, level_NA, sides)
    return shown.flatten(0, 1)


class _Reveal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mask_NAhw: Tensor, *given: Any) -> Tensor:
        image_NCHW, baseline_NLCHW, level_NA, ctx.sides = given
        ctx.save_for_backward(image_NCHW, baseline_NLCHW, level_NA)
        ctx.cells = tuple(mask_NAhw.shape[-2:])
        return revealed(mask_NAhw, *given)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        image_NCHW, baseline_NLCHW, level_NA = ctx.saved_tensors
        mask_NAhw = along(grads[0], image_NCHW, baseline_NLCHW, level_NA, ctx.sides, ctx.cells)
        return mask_NAhw, None, None, None, None


@fused
def revealed(
    mask_NAhw: Tensor, image_NCHW: Tensor, baseline_NLCHW: Tensor, level_NA: Tensor, sides: Sides
) -> Tensor:
    """(N, S * A, C, H, W), channels next to each other in memory."""
    rows_Hh = upsampling(mask_NAhw.shape[2], image_NCHW.shape[2], mask_NAhw)
    columns_Ww = upsampling(mask_NAhw.shape[3], image_NCHW.shape[3], mask_NAhw)
    full = rows_Hh @ mask_NAhw @ columns_Ww.mT
    side_S111 = torch.arange(sum(sides), device=full.device)[:, None, None, None]
    mask_NSAHW = torch.where(side_S111 < sides[0], full[:, None], 1 - full[:, None])
    dtype = torch.promote_types(image_NCHW.dtype, torch.float32)
    baseline = _met(baseline_NLCHW, level_NA).to(dtype)[:, None]
    image = image_NCHW.to(dtype)[:, None, None]
    shown = torch.lerp(baseline, image, mask_NSAHW[:, :, :, None]).flatten(1, 2)
    return channels_last(shown.to(image_NCHW.dtype))


@fused
def along(
    gradient_NACHW: Tensor,
    image_NCHW: Tensor,
    baseline_NLCHW: Tensor,
    level_NA: Tensor,
    sides: Sides,
    cells: tuple[int, int],
) -> Tensor:
    """Gradient of the coarse masks, (N, A, h, w): along the way from baseline to image, or back.

    gradient_NACHW  of both sides, like what `revealed` returns
    Interpolation goes back as two products: torch's own way adds up by atomics, in any order.
    """
    dtype = torch.promote_types(image_NCHW.dtype, torch.float32)
    way = image_NCHW.to(dtype)[:, None] - _met(baseline_NLCHW, level_NA).to(dtype)
    of_sides = gradient_NACHW.to(dtype).chunk(sum(sides), 1)
    gradient = of_sides[0] if sides[0] else -of_sides[0]
    if sum(sides) > 1:
        gradient = gradient - of_sides[1]
    red, *others = (gradient * way).unbind(2)
    full_NAHW: Tensor = sum(others, red)
    rows_Hh = upsampling(cells[0], full_NAHW.shape[2], full_NAHW)
    columns_Ww = upsampling(cells[1], full_NAHW.shape[3], full_NAHW)
    return rows_Hh.mT @ full_NAHW @ columns_Ww


def upsampling(cells: int, pixels: int, like: Tensor) -> Tensor:
    """Matrix (pixels, cells) of linear interpolation along a side: a tent for each cell."""
    pixel = torch.arange(pixels, dtype=like.dtype, device=like.device)
    cell = torch.arange(cells, dtype=like.dtype, device=like.device)
    place = ((pixel + 0.5) * (cells / pixels) - 0.5).clamp(0, cells - 1)
    return (1 - (place[:, None] - cell).abs()).clamp_min(0)


def _met(baseline_NLCHW: Tensor, level_NA: Tensor) -> Tensor:
    """The baseline that each mask meets, (N, A, C, H, W) or (N, 1, C, H, W)."""
    if baseline_NLCHW.shape[1] == 1:
        return baseline_NLCHW
    network = torch.arange(len(level_NA), device=level_NA.device)[:, None]
    return baseline_NLCHW[network, level_NA]
