"""EP, extremal perturbations: Fong, Patrick and Vedaldi, "Understanding Deep Networks via Extremal
Perturbations and Smooth Masks", ICCV 2019, in the preservation game or in the dual one.

For every image and area: a coarse grid of cells in [0, 1], spread by a smooth max-convolution into
a mask, is moved by gradient ascent on the reward minus lambda * R_a(mask), where R_a draws the
sorted mask to a fraction a of ones and lambda grows. The reward is the target's logit behind the
mask, in the dual game minus its logit with the mask removed. Written from the paper. The published
implementation lets masks extend beyond the image and counts areas on that larger canvas; here
areas are fractions of the image.

Shapes: B images, A areas, S sides of the game, h x w cells, D x D window of the kernel, P = H * W
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.game import Classify, PerturbationConfig, Scene
from inr_core.masks import Canvas, vecsort_penalty
from inr_core.peers.common import PeerConfig, Task

LARGEST_BLUR = 20 / 224  # of the shorter side
BLURRED_LEVELS = 7  # with the image itself, eight
REACH = 28 / 10.5  # where the kernel is cut, in radii of its flat top: 28 of 224 pixels


def blur_pyramid() -> PerturbationConfig:
    """Eight blur strengths in equal steps, selected by the mask's value."""
    sigmas = tuple(LARGEST_BLUR * k / BLURRED_LEVELS for k in range(1, BLURRED_LEVELS + 1))
    return PerturbationConfig(kind="pyramid", sigmas=sigmas)


@dataclass(frozen=True, kw_only=True, slots=True)
class EpConfig(PeerConfig):
    """The published settings; pixel sizes are those for an input of 224.

    game           `preservation` as published, or `dual`, as ours plays it
    steps          updates by gradient ascent
    learning_rate  of SGD, with `momentum`, which is also its dampening
    area_weight    lambda of the first step, multiplied by `area_growth` at each step
    cells          coarse cells along the shorter side (a step of 7 pixels)
    radius         of the kernel's flat top, a fraction of the shorter side (10.5 pixels: half of
                   the published kernel's 21)
    coldness       of the smooth maximum; higher = nearer to the maximum
    """

    perturbation: PerturbationConfig = field(default_factory=blur_pyramid)
    game: Literal["preservation", "dual"] = "preservation"
    steps: int = 800
    learning_rate: float = 0.01
    momentum: float = 0.9
    area_weight: float = 300.0
    area_growth: float = 1.0035
    cells: int = 32
    radius: float = 10.5 / 224
    coldness: float = 20.0

    def __post_init__(self) -> None:
        PeerConfig.__post_init__(self)
        if self.game not in ("preservation", "dual"):
            raise ValueError(f"game must be preservation or dual for ep, got {self.game!r}")
        if self.steps < 1 or self.cells < 2:
            raise ValueError(
                f"steps must be at least 1 and cells 2, got {self.steps}, {self.cells}"
            )
        if min(self.learning_rate, self.radius, self.coldness) <= 0:
            raise ValueError("learning_rate, radius and coldness must be positive")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}")

    @property
    def sides(self) -> int:
        """Images that the classifier sees for each mask and step."""
        return 2 if self.game == "dual" else 1

    def weight(self, step: int) -> float:
        """lambda of a step."""
        return float(self.area_weight * self.area_growth**step)


def ep_masks(task: Task, config: EpConfig) -> Tensor:
    """Extremal masks, (B, A, H, W)."""

    def part(chosen: slice) -> Tensor:
        return _optimised(task.scene.of(chosen), task.classify, config)

    return torch.cat(
        task.microbatch.run(part, len(task.image_BCHW), len(config.areas) * config.sides)
    )


def _optimised(scene: Scene, classify: Classify, config: EpConfig) -> Tensor:
    """Masks after the last step; the loss is a sum over masks, so that each is as if alone."""
    b, _, h, w = scene.image_NCHW.shape
    stride = max(1, round(min(h, w) / config.cells))
    canvas = Canvas.of((h, w), stride, scene.image_NCHW)
    kernel_DD = flat_kernel(config.radius * min(h, w) / stride, scene.image_NCHW)
    # At first all pixels are equal: shuffled, so that their sorting favours no part of the image.
    shuffle_P = torch.randperm(h * w, generator=torch.Generator().manual_seed(0))
    shuffle_P = shuffle_P.to(kernel_DD.device)
    area_BA = scene.image_NCHW.new_tensor(config.areas).expand(b, -1)
    level_BA = torch.full_like(area_BA, scene.baseline_NLCHW.shape[1] - 1, dtype=torch.long)
    target = scene.target_N.repeat_interleave(len(config.areas))[:, None].repeat(config.sides, 1)
    cells_BAhw = area_BA.new_ones(*area_BA.shape, *canvas.cells, requires_grad=True)
    sgd = torch.optim.SGD(
        [cells_BAhw], config.learning_rate, momentum=config.momentum, dampening=config.momentum
    )
    for step in range(config.steps):
        mask_BAHW = canvas.upsample(smooth_max(cells_BAhw, kernel_DD, config.coldness))
        sides = (mask_BAHW, 1 - mask_BAHW)[: config.sides]
        shown = torch.cat([scene.shown(side, level_BA) for side in sides])
        logit = classify(shown.flip(3) if step % 2 == 0 else shown).gather(1, target)
        kept, *removed = logit.view(config.sides, -1).sum(1)
        penalty_BA = vecsort_penalty(mask_BAHW.flatten(2)[..., shuffle_P], area_BA)
        loss = config.weight(step) * penalty_BA.sum() + sum(removed) - kept
        (cells_BAhw.grad,) = torch.autograd.grad(loss, cells_BAhw)
        sgd.step()
        with torch.no_grad():
            cells_BAhw.clamp_(0, 1)
    with torch.no_grad():
        return canvas.upsample(smooth_max(cells_BAhw, kernel_DD, config.coldness))


def flat_kernel(radius: float, like: Tensor) -> Tensor:
    """exp(-max(0, d / radius - 1)^2 / 2) on a square window of cells, (D, D); radius in cells.

    Flat on a disc, so that cells that are 1 make the mask 1 around them; the window ends at the
    cell that `REACH` falls into. One cell that is 1 then makes 3.3 % of an image of 224 x 224, as
    one of the published implementation does.
    """
    reach = max(1, round(REACH * radius))
    offset = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    distance = (offset[:, None].square() + offset.square()).sqrt()
    return torch.exp(-(distance / radius - 1).clamp_min(0).square() / 2)


def smooth_max(cells_BAhw: Tensor, kernel_DD: Tensor, coldness: float) -> Tensor:
    """Smooth max-convolution: max_d k(d) cell(q + d) with a soft maximum, (B, A, h * w).

    The soft maximum is the mean weighted by exp(coldness * value). Cells are replicated beyond the
    border, so that equal cells give equal masks; otherwise corners would stand out from the start.
    """
    b, a, h, w = cells_BAhw.shape
    radius = len(kernel_DD) // 2
    padded = functional.pad(cells_BAhw.flatten(0, 1)[:, None], (radius,) * 4, mode="replicate")
    window = functional.unfold(padded, len(kernel_DD))  # (B * A, D * D, h * w)
    reach = kernel_DD.flatten()[:, None] * window
    return (torch.softmax(coldness * reach, 1) * reach).sum(1).view(b, a, h * w)
