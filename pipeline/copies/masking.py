"""Random masks to tune a classifier with, of the shapes and baselines that explanations have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inr_core import PerturbationConfig, baselines, metrics

CELLS = (4, 7, 10, 14)  # along a side of the noise that masks are made of
BLUR, MEAN = PerturbationConfig(), PerturbationConfig(kind="mean")


def random_masks(count: int, size: tuple[int, int], least: float, rng: torch.Generator) -> Tensor:
    """Masks (N, 1, H, W) in [0, 1], 1 = keep, whose areas are uniform in least..1, edges feathered.

    Half are patches: the highest cells of noise on a grid; half are blobs: the highest pixels of
    smooth noise. Areas are exact to a cell, and to a pixel.
    """
    area_N = torch.empty(count).uniform_(least, 1, generator=rng).tolist()
    kind_N = torch.randint(2, (count,), generator=rng).tolist()
    cells_N = torch.randint(len(CELLS), (count,), generator=rng).tolist()
    masks = []
    for area, blob, cells in zip(area_N, kind_N, cells_N, strict=True):
        noise = torch.randn(1, 1, CELLS[cells], CELLS[cells], generator=rng)
        if blob:
            smooth = functional.interpolate(noise, size, mode="bicubic", align_corners=False)
            masks.append(_highest(smooth, area))
        else:
            masks.append(functional.interpolate(_highest(noise, area), size))
    return metrics.feathered(torch.cat(masks))


def masked(image_NCHW: Tensor, mask_N1HW: Tensor, blurred_N: Tensor) -> Tensor:
    """The images behind their masks: the rest blurred (bool), or else in their mean colour."""
    shown = baselines(image_NCHW, MEAN)[:, 0].clone()
    if blurred_N.any():
        shown[blurred_N] = baselines(image_NCHW[blurred_N], BLUR)[:, 0]
    return torch.lerp(shown, image_NCHW, mask_N1HW)


def _highest(values_11hw: Tensor, area: float) -> Tensor:
    """1 at the given share of the places, those of the highest values."""
    count = max(1, round(area * values_11hw.numel()))
    least = values_11hw.flatten().kthvalue(values_11hw.numel() - count + 1).values
    return (values_11hw >= least).float()
