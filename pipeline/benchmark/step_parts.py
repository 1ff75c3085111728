"""Parts of an optimisation step of inr, alone: each forward and back, in the shapes of the loop."""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core import (
    Canvas,
    InrConfig,
    Scene,
    baselines,
    exact_mask,
    siren,
    vecsort_penalty,
)
from pipeline.benchmark.loop import Batch, Loop


class StepParts:
    """What a step of the first round does besides passes; each call does one part once.

    theta_NK  the networks of the batch, ordered by image
    """

    def __init__(self, loop: Loop, batch: Batch, theta_NK: Tensor) -> None:
        config: InrConfig = loop.config
        self.config, self.microbatch = config, loop.worker.microbatch
        self.scene = _scene(loop, batch, len(theta_NK))
        height, width = batch.image_BCHW.shape[2:]
        self.canvas = Canvas.of((height, width), config.mask.stride, theta_NK)
        ends = config.areas[0], config.areas[-1]
        area_A = torch.linspace(*ends, config.optimise.areas_per_step)
        self.area_NA = area_A.to(theta_NK).expand(len(theta_NK), -1)
        self.level_NA = torch.zeros_like(self.area_NA, dtype=torch.long)
        self.theta_NK = theta_NK.requires_grad_()
        self.field_NAP = self._field().detach().requires_grad_()
        self.weight_NAP = self.canvas.weight_P * torch.ones_like(self.field_NAP)
        self.mask_NAP = self._mask().detach()

    def network(self) -> None:
        """From weights to the field."""
        field_NAP = self._field()
        torch.autograd.grad(field_NAP, self.theta_NK, field_NAP.detach())

    def area(self) -> None:
        """From the field to masks of their areas, or with the penalty that draws them there."""
        mask_NAP = self._mask()
        outputs, gradients = [mask_NAP], [mask_NAP.detach()]
        if self.config.mask.area == "vecsort":
            outputs.append(vecsort_penalty(mask_NAP, self.area_NA))
            gradients.append(self.area_NA)
        torch.autograd.grad(outputs, self.field_NAP, gradients)

    def blend(self) -> None:
        """From masks to the images that the classifier sees."""
        sides = self.config.objective.keeps + self.config.objective.removes
        self.microbatch.run(self._blend, len(self.mask_NAP), sides * self.mask_NAP.shape[1])

    def _field(self) -> Tensor:
        network = self.config.mask.network
        return siren(self.theta_NK, self.canvas.coords_P2, self.area_NA, network)

    def _mask(self) -> Tensor:
        mask = self.config.mask
        if mask.area == "vecsort":
            return torch.sigmoid(self.field_NAP / mask.temperature)
        return exact_mask(self.field_NAP, self.area_NA, self.weight_NAP, mask.temperature)

    def _blend(self, part: slice) -> None:
        objective = self.config.objective
        mask = self.mask_NAP[part].requires_grad_()
        full, level = self.canvas.upsample(mask), self.level_NA[part]
        sides = [full] * objective.keeps + [1 - full] * objective.removes
        shown = torch.cat([self.scene.shown(side, level, part) for side in sides])
        torch.autograd.grad(shown, mask, shown.detach())


def _scene(loop: Loop, batch: Batch, networks: int) -> Scene:
    """What the networks look at; every image has as many of them."""
    perturbation = loop.config.perturbation
    baseline_BLCHW = baselines(batch.image_BCHW, perturbation, loop.worker.baseline)
    image_N = torch.arange(networks, device=batch.image_BCHW.device) * len(batch.ids) // networks
    return Scene(
        image_NCHW=batch.image_BCHW[image_N],
        baseline_NLCHW=baseline_BLCHW[image_N],
        target_N=batch.target_B[image_N],
        pyramid=perturbation.kind == "pyramid",
    )
