"""The optimisation loop: N networks at once, each as if it were alone.

The loss is a sum over networks and the optimiser works element by element, so one network's
result does not depend on the others.

Shapes: N networks, S steps, A areas a step, P coarse cells, K parameters, J earlier rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.area import vecsort_penalty
from inr_core.mask import Canvas, MaskConfig, coarse_mask, occupied
from inr_core.microbatch import MicroBatch
from inr_core.objective import ObjectiveConfig, log_kept, log_removed, outline_per_area
from inr_core.perturbation import perturb

Classify = Callable[[Tensor], Tensor]  # (M, C, H, W) -> logits (M, K)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiseConfig:
    """Steps and rates.

    steps              updates of each network
    areas_per_step     masks of each network and step, their areas evenly spread (`area_sequence`)
    learning_rate      of Adam, after `warmup` steps of linear rise, with cosine decay
    temperature_start  width of the sigmoid at the first step; falls geometrically to the mask's
    smallest_area      areas trained on lie between this one and `largest_area`, widened to the
    largest_area       areas that are asked for
    """

    steps: int = 30
    areas_per_step: int = 2
    learning_rate: float = 0.02
    warmup: int = 5
    temperature_start: float = 1.0
    smallest_area: float = 0.03
    largest_area: float = 0.45

    def __post_init__(self) -> None:
        if self.steps < 1 or self.areas_per_step < 1 or self.warmup < 0:
            raise ValueError(
                "steps and areas_per_step must be at least 1 and warmup at least 0, got "
                f"{self.steps}, {self.areas_per_step}, {self.warmup}"
            )
        if self.learning_rate <= 0 or self.temperature_start <= 0:
            raise ValueError("learning_rate and temperature_start must be positive")
        if not 0 < self.smallest_area < self.largest_area < 1:
            raise ValueError(
                "0 < smallest_area < largest_area < 1 must hold, got "
                f"{self.smallest_area}, {self.largest_area}"
            )

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.learning_rate * rise * (1 + math.cos(math.pi * step / self.steps)) / 2

    def temperature(self, step: int, end: float) -> float:
        """Temperature of a step; the last one has the final mask's."""
        share = step / max(1, self.steps - 1)
        return float(self.temperature_start * (end / self.temperature_start) ** share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What N networks look at.

    image_NCHW, baseline_NLCHW  the image of each network and its perturbed versions
    target_N                    class index explained
    """

    image_NCHW: Tensor
    baseline_NLCHW: Tensor
    target_N: Tensor
    pyramid: bool

    def of(self, networks: list[int] | slice) -> Scene:
        """The same for some of the networks."""
        return Scene(
            image_NCHW=self.image_NCHW[networks],
            baseline_NLCHW=self.baseline_NLCHW[networks],
            target_N=self.target_N[networks],
            pyramid=self.pyramid,
        )

    def shown(self, mask_NAHW: Tensor, level_NA: Tensor, part: slice = slice(None)) -> Tensor:
        """The images of the networks in `part` behind their masks, (N * A, C, H, W)."""
        image, baseline = self.image_NCHW[part], self.baseline_NLCHW[part]
        return perturb(image, baseline, mask_NAHW, level_NA, pyramid=self.pyramid).flatten(0, 1)


def draw_levels(seeds: Sequence[int], levels: int, steps: int, areas: int) -> Tensor:
    """Which baseline each mask of each step meets, (S, N, A) in 0..levels-1, by network's seed."""
    drawn = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed ^ 1)  # not the stream of the weights
        drawn.append(torch.randint(levels, (steps, areas), generator=generator))
    return torch.stack(drawn, 1)


def optimise(
    theta_NK: Tensor,
    previous_NJK: Tensor,
    area_SA: Tensor,
    level_SNA: Tensor,
    scene: Scene,
    classify: Classify,
    mask_config: MaskConfig,
    objective: ObjectiveConfig,
    config: OptimiseConfig,
    microbatch: MicroBatch,
) -> tuple[Tensor, Tensor]:
    """Maximise the objective of every network; returns parameters (N, K) and energies (S, N)."""
    size = (scene.image_NCHW.shape[2], scene.image_NCHW.shape[3])
    canvas = Canvas.of(size, mask_config.stride, theta_NK)
    theta = theta_NK.clone().requires_grad_()
    adam = torch.optim.Adam([theta])
    history = []
    for step in range(config.steps):
        adam.param_groups[0]["lr"] = config.rate(step)
        temperature = config.temperature(step, mask_config.temperature)
        area_NA = area_SA[step].expand(len(theta), -1)
        with torch.no_grad():
            taken = occupied(previous_NJK, area_NA, canvas, mask_config)
        mask_NAP = coarse_mask(theta, area_NA, taken, canvas, mask_config, temperature)
        reward_N, gradient_NAP = classifier_gradient(
            mask_NAP, level_SNA[step], scene, classify, objective, canvas, microbatch
        )
        penalty_N = _penalty(mask_NAP, area_NA, canvas, mask_config, objective)
        adam.zero_grad()
        torch.autograd.backward([mask_NAP, penalty_N.sum()], [-gradient_NAP, None])
        adam.step()
        history.append((reward_N - penalty_N).detach())
    return theta.detach(), torch.stack(history)


def classifier_gradient(
    mask_NAP: Tensor,
    level_NA: Tensor,
    scene: Scene,
    classify: Classify,
    objective: ObjectiveConfig,
    canvas: Canvas,
    microbatch: MicroBatch,
) -> tuple[Tensor, Tensor]:
    """Reward of the game, (N,), and its gradient with respect to the coarse masks, (N, A, P).

    The classifier sees whole networks, as many at once as the micro-batch allows.
    """
    areas = mask_NAP.shape[1]

    def part(chosen: slice) -> tuple[Tensor, Tensor]:
        mask = mask_NAP[chosen].detach().requires_grad_()
        full, level = canvas.upsample(mask), level_NA[chosen]
        sides = [full] * objective.keeps + [1 - full] * objective.removes
        logits = classify(torch.cat([scene.shown(side, level, chosen) for side in sides]))
        target = scene.target_N[chosen].repeat_interleave(areas)
        halves = list(torch.chunk(logits.float(), len(sides)))
        reward = torch.zeros_like(target, dtype=torch.float32)
        if objective.keeps:
            reward = reward + log_kept(halves.pop(0), target)
        if objective.removes:
            weight = objective.deletion_weight if objective.keeps else 1.0
            reward = reward + weight * log_removed(halves.pop(0), target)
        reward_N = reward.view(-1, areas).mean(1)
        (gradient,) = torch.autograd.grad(reward_N.sum(), mask)
        return reward_N.detach(), gradient

    samples = areas * (objective.keeps + objective.removes)
    rewards, gradients = zip(*microbatch.run(part, len(mask_NAP), samples), strict=True)
    return torch.cat(rewards), torch.cat(gradients)


def _penalty(
    mask_NAP: Tensor,
    area_NA: Tensor,
    canvas: Canvas,
    mask_config: MaskConfig,
    objective: ObjectiveConfig,
) -> Tensor:
    """Weighted penalties, (N,), mean over the areas."""
    penalty = objective.outline_weight * outline_per_area(canvas.unflatten(mask_NAP))
    if mask_config.area == "vecsort":
        penalty = penalty + objective.area_weight * vecsort_penalty(mask_NAP, area_NA)
    return penalty.mean(1)
