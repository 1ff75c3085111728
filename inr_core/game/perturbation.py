"""Perturbation: what the image is replaced by outside the mask (mask 1 = keep, 0 = perturb).

Everything here works in the classifier's own (normalised) input space: blurring and blending
commute with a per-channel affine map, so the result is the same as in pixel space.

Shapes: N images, A masks of each, L baselines, C channels, H, W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.device import fused

Kind = Literal["blur", "pyramid", "mean", "custom"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationConfig:
    """Which baseline stands outside the mask.

    kind     `blur`: the blurred image; with several sigmas, each mask of a step meets one of them
             `pyramid`: the mask's value selects the blur strength, from none (1) to all (0)
             `mean`: the image's mean colour; `custom`: a baseline that the caller gives
    sigmas   blur strengths (standard deviations) as fractions of the shorter side, ascending;
             scores use the last one
    """

    kind: Kind = "blur"
    sigmas: tuple[float, ...] = (0.09,)

    def __post_init__(self) -> None:
        if self.kind not in ("blur", "pyramid", "mean", "custom"):
            raise ValueError(f"kind must be blur, pyramid, mean or custom, got {self.kind!r}")
        if not self.sigmas or any(s <= 0 for s in self.sigmas):
            raise ValueError(f"sigmas must be positive and at least one, got {self.sigmas}")
        if list(self.sigmas) != sorted(self.sigmas):
            raise ValueError(f"sigmas must be ascending, got {self.sigmas}")


def gaussian_blur(image_NCHW: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of `sigma` pixels, cut at 3 sigma; edges are replicated."""
    radius = max(1, math.ceil(3 * sigma))
    offset = torch.arange(-radius, radius + 1, dtype=image_NCHW.dtype, device=image_NCHW.device)
    kernel = torch.exp(-0.5 * (offset / sigma).square())
    kernel = kernel / kernel.sum()
    n, c, h, w = image_NCHW.shape
    flat = image_NCHW.reshape(n * c, 1, h, w)
    flat = functional.pad(flat, (radius, radius, radius, radius), mode="replicate")
    flat = functional.conv2d(flat, kernel.view(1, 1, 1, -1))
    flat = functional.conv2d(flat, kernel.view(1, 1, -1, 1))
    return flat.view(n, c, h, w)


def baselines(
    image_NCHW: Tensor, config: PerturbationConfig, custom: Tensor | None = None
) -> Tensor:
    """The fully perturbed images, (N, L, C, H, W), weakest first.

    custom  the caller's baseline for kind `custom`: (C, H, W), or (N, C, H, W)
    """
    if config.kind == "custom":
        if custom is None:
            raise ValueError("perturbation kind 'custom' needs a baseline image")
        return custom.to(image_NCHW).expand_as(image_NCHW)[:, None]
    if config.kind == "mean":
        return image_NCHW.mean((2, 3), keepdim=True).expand_as(image_NCHW)[:, None]
    side = min(image_NCHW.shape[2:])
    return torch.stack([gaussian_blur(image_NCHW, s * side) for s in config.sigmas], dim=1)


def perturb(
    image_NCHW: Tensor,
    baseline_NLCHW: Tensor,
    mask_NAHW: Tensor,
    level_NA: Tensor,
    *,
    pyramid: bool = False,
) -> Tensor:
    """Keep the image where the mask is 1, show the baseline where it is 0: (N, A, C, H, W).

    level_NA  which baseline each mask meets, in 0..L-1; a pyramid uses all of them instead
    """
    mask = mask_NAHW[:, :, None]
    if pyramid:
        return _pyramid(image_NCHW, baseline_NLCHW, mask)
    baseline_NACHW = baseline_NLCHW  # of one level: the same for all masks
    if baseline_NLCHW.shape[1] > 1:
        network = torch.arange(len(image_NCHW), device=level_NA.device)[:, None]
        baseline_NACHW = baseline_NLCHW[network, level_NA]
    blended: Tensor = _Blend.apply(mask, image_NCHW[:, None], baseline_NACHW)
    return blended


class _Blend(torch.autograd.Function):
    """lerp(baseline, image, mask) for masks of one channel, laid out as classifiers like it best.

    The gradient goes to the mask alone, channels added up before anything is kept.
    """

    @staticmethod
    def forward(ctx: Any, mask_NA1HW: Tensor, image: Tensor, baseline: Tensor) -> Tensor:
        ctx.save_for_backward(image - baseline)
        return _blend(mask_NA1HW, image, baseline)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _along(grads[0], *ctx.saved_tensors), None, None


@fused
def _blend(mask_NA1HW: Tensor, image: Tensor, baseline: Tensor) -> Tensor:
    return channels_last(torch.lerp(baseline, image, mask_NA1HW))


@fused
def _along(gradient_NACHW: Tensor, way: Tensor) -> Tensor:
    """The gradient along the way from baseline to image, (N, A, 1, H, W)."""
    red, *others = (gradient_NACHW * channels_last(way)).unbind(2)
    return sum(others, red)[:, :, None]


def channels_last(image_NACHW: Tensor) -> Tensor:
    """The same values, channels next to each other in memory."""
    return image_NACHW.movedim(2, -1).contiguous().movedim(-1, 2)


def _pyramid(image_NCHW: Tensor, baseline_NLCHW: Tensor, mask_NA1HW: Tensor) -> Tensor:
    """Mask value 1 - k / L shows level k (level 0 is the image), linear in between."""
    levels = [image_NCHW, *baseline_NLCHW.unbind(1)]
    depth = (1 - mask_NA1HW) * (len(levels) - 1)
    tents = [(1 - (depth - k).abs()).clamp_min(0) for k in range(len(levels))]
    shown = tents[0] * levels[0][:, None]
    for tent, level in zip(tents[1:], levels[1:], strict=True):
        shown = shown + tent * level[:, None]
    return shown
