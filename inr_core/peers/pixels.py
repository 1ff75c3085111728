"""Our objective on plain grids of pixels: what is left of the method without the networks.

Every area of an image has a field of its own on the coarse grid, in place of one network for all
areas. The start, exact area, game, outline penalty, temperature and schedule are ours. The rate is
not: a cell moves by no more than its rate a step, where a network's weights move its whole field.

Shapes: B images, A areas, P coarse cells, S steps, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.game import ObjectiveConfig, outline_per_area
from inr_core.masks import Canvas, exact_mask, standardise
from inr_core.optimisation import OptimiseConfig, PathConfig, draw_levels
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelsConfig(PeerConfig):
    """Settings as in InrConfig; each step sees every one of `areas`, and no other.

    stride       pixels of the mask per cell of the grid, each way
    temperature  width of the final sigmoid, in standard deviations of the field
    """

    stride: int = 4
    temperature: float = 0.05
    start: PathConfig = field(default_factory=PathConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimise: OptimiseConfig = field(default_factory=partial(OptimiseConfig, learning_rate=0.3))

    def __post_init__(self) -> None:
        PeerConfig.__post_init__(self)
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        for name in ("area_weight", "repel_weight"):
            value, default = (getattr(o, name) for o in (self.objective, ObjectiveConfig()))
            if value != default:
                raise ValueError(
                    f"objective.{name} decides nothing here: areas are exact, and there is one "
                    f"restart; got {value:g}, leave it out"
                )

    def samples_per_step(self) -> int:
        """Images that the classifier sees for each explained image and step."""
        objective = self.objective.settled(several=False)
        return len(self.areas) * (objective.keeps + objective.removes)


def pixels_masks(task: Task, config: PixelsConfig) -> Tensor:
    """Optimised masks of exact area, (B, A, H, W)."""

    def part(chosen: slice) -> Tensor:
        return _optimised(task, chosen, config)

    return torch.cat(task.microbatch.run(part, len(task.image_BCHW), config.samples_per_step()))


def _optimised(task: Task, chosen: slice, config: PixelsConfig) -> Tensor:
    """Masks after the last step; the loss is a sum over masks, so that each is as if alone."""
    scene = task.scene.of(chosen)
    b, _, h, w = scene.image_NCHW.shape
    canvas = Canvas.of((h, w), config.stride, scene.image_NCHW)
    area_BA = scene.image_NCHW.new_tensor(config.areas).expand(b, -1)
    levels = scene.baseline_NLCHW.shape[1]
    level_BSA = draw_levels(
        task.seeds[chosen], levels, config.optimise.steps, len(config.areas)
    ).to(area_BA.device)
    objective = config.objective.settled(several=False)
    start_B1P = _start(task, chosen, canvas, config)
    field_BAP = start_B1P.repeat(1, len(config.areas), 1).requires_grad_()
    adam = torch.optim.Adam([field_BAP], lr=config.optimise.learning_rate)
    for step in range(config.optimise.steps):
        adam.param_groups[0]["lr"] = config.optimise.rate(step)
        temperature = config.optimise.temperature(step, config.temperature)
        mask_BAP = exact_mask(field_BAP, area_BA, canvas.weight_P, temperature)
        level_BA = level_BSA[:, step]
        reward_B = scene.play(canvas.unflatten(mask_BAP), level_BA, task.classify, objective)
        outline_BA = outline_per_area(canvas.unflatten(mask_BAP))
        loss = (objective.outline_weight * outline_BA.mean(1) - reward_B).sum()
        (field_BAP.grad,) = torch.autograd.grad(loss, field_BAP)
        adam.step()
    return _final(field_BAP.detach(), area_BA, canvas, config).to(scene.image_NCHW)


def _start(task: Task, chosen: slice, canvas: Canvas, config: PixelsConfig) -> Tensor:
    """The field at which every area starts, (B, 1, P), standardised like that of a network."""
    map_BHW = task.evidence(config.start, chosen)
    map_B1P = functional.interpolate(map_BHW[:, None], canvas.cells, mode="area").flatten(2)
    return standardise(map_B1P, canvas.weight_P.expand_as(map_B1P))


def _final(field_BAP: Tensor, area_BA: Tensor, canvas: Canvas, config: PixelsConfig) -> Tensor:
    """The masks in float64 on the CPU, as those of networks are rendered, (B, A, H, W)."""
    field_BAP, area_BA, weight_P = (
        t.to("cpu", torch.float64) for t in (field_BAP, area_BA, canvas.weight_P)
    )
    return canvas.upsample(exact_mask(field_BAP, area_BA, weight_P, config.temperature))
