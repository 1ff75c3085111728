"""Images behind coarse masks in few kernels, for devices where launches and bytes cost.

What `perturb` does to interpolated masks, for both sides of the game at once. On a GPU each of the
two functions below becomes a kernel or two; no intermediate image is kept.

Shapes: N networks, A masks of each, h x w cells, S sides, L baselines, C channels, H, W.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

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
    size = image_NCHW.shape[-2:]
    full = functional.interpolate(mask_NAhw, size, mode="bilinear", align_corners=False)
    mask = torch.cat(
        [side for side, is_on in zip((full, 1 - full), sides, strict=True) if is_on], 1
    )
    baseline = _met(baseline_NLCHW, level_NA, sum(sides)).float()
    shown = torch.lerp(baseline, image_NCHW[:, None].float(), mask[:, :, None])
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
    baseline = _met(baseline_NLCHW, level_NA, sum(sides)).float()
    way = image_NCHW[:, None].float() - baseline
    red, *others = (gradient_NACHW.float() * way).unbind(2)
    of_sides = sum(others, red).chunk(sum(sides), 1)
    signs = [1] * sides[0] + [-1] * sides[1]
    first, *more = (sign * side for sign, side in zip(signs, of_sides, strict=True))
    full_NAHW: Tensor = sum(more, first)
    rows_Hh = upsampling(cells[0], full_NAHW.shape[2], full_NAHW)
    columns_Ww = upsampling(cells[1], full_NAHW.shape[3], full_NAHW)
    return rows_Hh.mT @ full_NAHW @ columns_Ww


def upsampling(cells: int, pixels: int, like: Tensor) -> Tensor:
    """Matrix (pixels, cells) of linear interpolation along a side: a tent for each cell."""
    pixel = torch.arange(pixels, dtype=like.dtype, device=like.device)
    cell = torch.arange(cells, dtype=like.dtype, device=like.device)
    place = ((pixel + 0.5) * (cells / pixels) - 0.5).clamp(0, cells - 1)
    return (1 - (place[:, None] - cell).abs()).clamp_min(0)


def _met(baseline_NLCHW: Tensor, level_NA: Tensor, sides: int) -> Tensor:
    """The baseline that each mask of each side meets, (N, S * A, C, H, W) or (N, 1, C, H, W)."""
    if baseline_NLCHW.shape[1] == 1:
        return baseline_NLCHW
    network = torch.arange(len(level_NA), device=level_NA.device)[:, None]
    return baseline_NLCHW[network, level_NA.repeat(1, sides)]
