"""Masks that ignore the classifier: random pixels, and a disc in the centre."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.masks import centres, grid
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomConfig(PeerConfig):
    """Pixels in random order, another one for each image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CentreConfig(PeerConfig):
    """A disc in the centre: what a photographer's habits alone explain."""


def random_map(task: Task, config: RandomConfig) -> Tensor:
    """Uniform noise from each image's seed, (B, H, W)."""
    size = task.image_BCHW.shape[2:]
    maps = [torch.rand(size, generator=torch.Generator().manual_seed(seed)) for seed in task.seeds]
    return torch.stack(maps).to(task.image_BCHW)


def centre_map(task: Task, config: CentreConfig) -> Tensor:
    """Discs in the centre, (B, H, W); see `discs`."""
    b, _, h, w = task.image_BCHW.shape
    return discs((h, w), task.image_BCHW).expand(b, h, w)


def discs(size: tuple[int, int], like: Tensor) -> Tensor:
    """Minus the squared distance to the centre in pixels, (H, W): its top are discs."""
    h, w = size
    pixels_P2 = grid(centres(h, like), centres(w, like)) * like.new_tensor([h / 2, w / 2])
    return -pixels_P2.square().sum(1).view(h, w)
