"""RISE: Petsiuk, Das and Saenko, "Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018. The importance of a pixel is the mean score of the images that show it.

Random binary grids, enlarged bilinearly and shifted at random, multiply the (normalised) image; no
gradient is needed. Shapes: N random masks, B images, S x S grid, H, W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.game import target_score
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class RiseConfig(PeerConfig):
    """The settings of the authors' notebook (other implementations: 8000 masks, 7 cells, .5).

    samples  random masks, a forward pass each
    cells    cells of the random grid along a side
    keep     probability that a cell is kept
    """

    samples: int = 6000
    cells: int = 8
    keep: float = 0.1

    def __post_init__(self) -> None:
        PeerConfig.__post_init__(self)
        if self.samples < 1 or self.cells < 1:
            raise ValueError(
                f"samples and cells must be at least 1, got {self.samples}, {self.cells}"
            )
        if not 0 < self.keep < 1:
            raise ValueError(f"keep must lie in (0, 1), got {self.keep}")


@torch.no_grad()
def rise_map(task: Task, config: RiseConfig) -> Tensor:
    """Importance of every pixel, (B, H, W)."""
    return torch.stack([_importance(task, b, config) for b in range(len(task.seeds))])


def _importance(task: Task, b: int, config: RiseConfig) -> Tensor:
    """sum_n score_n mask_n / (N keep) of one image, (H, W)."""
    image_CHW, target = task.image_BCHW[b], task.target_B[b]
    size = (image_CHW.shape[1], image_CHW.shape[2])
    grid_NSS, shift_N2 = draw_grids(task.seeds[b], size, config)

    def part(chosen: slice) -> Tensor:
        mask_NHW = enlarge(grid_NSS[chosen].to(image_CHW), shift_N2[chosen], size)
        logits = task.classify(image_CHW * mask_NHW[:, None])
        score_N = target_score(logits, target.expand(len(mask_NHW)), task.scene.head).to(mask_NHW)
        return (score_N[:, None, None] * mask_NHW).sum(0, dtype=torch.float64)

    parts = task.microbatch.run(part, config.samples, 1)
    return (torch.stack(parts).sum(0) / (config.samples * config.keep)).to(image_CHW)


def draw_grids(seed: int, size: tuple[int, int], config: RiseConfig) -> tuple[Tensor, Tensor]:
    """Binary grids (N, S, S) bool and shifts (N, 2), less than an enlarged cell, from the seed."""
    generator = torch.Generator().manual_seed(seed)
    shape = (config.samples, config.cells, config.cells)
    grid_NSS = torch.rand(shape, generator=generator) < config.keep
    cell_2 = torch.tensor([math.ceil(side / config.cells) for side in size])
    shift_N2 = (torch.rand((config.samples, 2), generator=generator) * cell_2).long()
    return grid_NSS, shift_N2


def enlarge(grid_NSS: Tensor, shift_N2: Tensor, size: tuple[int, int]) -> Tensor:
    """Smooth masks (N, H, W): grids enlarged by one cell more than the image, then cut out."""
    h, w = size
    cells = grid_NSS.shape[-1]
    larger = [(cells + 1) * math.ceil(side / cells) for side in size]
    wide = functional.interpolate(grid_NSS[:, None], larger, mode="bilinear", align_corners=False)
    cut = [
        one[0, y : y + h, x : x + w] for one, (y, x) in zip(wide, shift_N2.tolist(), strict=True)
    ]
    return torch.stack(cut)
