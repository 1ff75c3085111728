"""Where the time of an optimisation step of inr goes.

Each part is done alone, forward and back, in the shapes of the loop and in turn with the others and
with whole steps; on a GPU as CUDA graphs, as the loop does its steps. `other` is what remains of
the step: penalties, clocks, Python. It can come out below 0 where parts take longer alone. On a CPU
times are the processor's, of this process, which other programs do not lengthen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from inr_core import (
    InrConfig,
    Networks,
    ObjectiveConfig,
    Others,
    Schedule,
    Slots,
    draw_levels,
    exact_mask,
    init_parameters,
    replayed,
    scenes,
    siren,
    vecsort_penalty,
)
from pipeline.benchmark.loop import Batch, Loop
from pipeline.benchmark.passes import timed

TURNS = 12


def profile_step(loop: Loop, batch: Batch) -> dict[str, float]:
    """Median seconds of each part, of `other`, and of the whole `step`.

    Of the first round, from random starts. On a CPU, where images are explained one after the
    other, of the first image.
    """
    device = batch.image_BCHW.device
    parts = StepParts(loop, batch)
    works = {
        name: replayed(work, device) if loop.worker.microbatch.record else work
        for name, work in parts.works().items()
    }
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(TURNS):
        for name, work in {**works, "step": parts.slots.step}.items():
            took = timed(work, device)
            found[name].append(took.wall if device.type == "cuda" else took.cpu)
    seconds = {name: median(values) for name, values in found.items()}
    seconds["classifier backward"] -= seconds["classifier forward"]
    step = seconds.pop("step")
    return {**seconds, "other": step - sum(seconds.values()), "step": step}


class StepParts:
    """What a step does, part by part; each call does one part once."""

    def __init__(self, loop: Loop, batch: Batch) -> None:
        config: InrConfig = loop.config
        self.config = config
        objective = config.settled().objective
        self.slots = slots = _slots(loop, batch, objective)
        self.sides = objective.keeps + objective.removes
        self.area_NA = slots.schedule.area_RSA[0, 0].expand(len(slots), -1).contiguous()
        self.theta_NK = slots.held.theta_NK.clone().requires_grad_()
        self.field_NAP = self._field().detach().requires_grad_()
        self.weight_NAP = slots.canvas.weight_P * torch.ones_like(self.field_NAP)
        self.mask_NAP = self._mask().detach().requires_grad_()
        self.shown = self._shown().detach().requires_grad_()

    def works(self) -> dict[str, Callable[[], None]]:
        """The parts; `classifier backward` is forward and back here."""
        return {
            "network": self.network,
            "area": self.area,
            "blend": self.blend,
            "classifier forward": self.forward,
            "classifier backward": self.backward,
            "optimiser": self.optimiser,
        }

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
        torch.autograd.grad(self._shown(), self.mask_NAP, self.shown.detach())

    def forward(self) -> None:
        """From images to logits, ready for the way back."""
        self.slots.classify(self.shown)

    def backward(self) -> None:
        """From images to logits and back."""
        torch.autograd.grad(self.slots.classify(self.shown).sum(), self.shown)

    def optimiser(self) -> None:
        """From gradients to weights."""
        theta_NK = self.theta_NK.detach()
        self.slots.adam.update(theta_NK, theta_NK, theta_NK.new_zeros(len(theta_NK), 1))

    def _field(self) -> Tensor:
        canvas, network = self.slots.canvas, self.config.mask.network
        return canvas.refine(siren(self.theta_NK, canvas.points_Q2, self.area_NA, network))

    def _mask(self) -> Tensor:
        mask = self.config.mask
        if mask.area == "vecsort":
            return torch.sigmoid(self.field_NAP / mask.temperature)
        return exact_mask(self.field_NAP, self.area_NA, self.weight_NAP, mask.temperature)

    def _shown(self) -> Tensor:
        full = self.slots.canvas.upsample(self.mask_NAP)
        sides = torch.cat([full, 1 - full][: self.sides], 1)
        return self.slots.held.scene.shown(sides, torch.zeros_like(sides[..., 0, 0]).long())


def _slots(loop: Loop, batch: Batch, objective: ObjectiveConfig) -> Slots:
    """As many slots as the loop would have, at the beginning of the first round."""
    config, microbatch = loop.config, loop.worker.microbatch
    images = 1 if batch.image_BCHW.device.type == "cpu" else len(batch.ids)
    samples = config.optimise.areas_per_step * (objective.keeps + objective.removes)
    first = 1 if config.repels else config.restarts  # of each image
    count = microbatch.at_once(images * first, samples)
    ((scene, _),) = scenes(
        batch.image_BCHW,
        batch.columns["target_B"],
        config.perturbation,
        loop.worker.baseline,
        len(batch.ids),
        head=loop.worker.classifier.head,
        contrast_B=batch.columns.get("contrast_B"),
    )
    device = batch.image_BCHW.device
    theta_NK = torch.stack([init_parameters(n, config.mask.network) for n in range(count)])
    levels = scene.baseline_NLCHW.shape[1], config.optimise.steps, config.optimise.areas_per_step
    none_NJK = theta_NK.new_zeros(count, 0, theta_NK.shape[1]).to(device)
    networks = Networks(
        theta_NK=theta_NK.to(device),
        round_N=torch.zeros(count, dtype=torch.long, device=device),
        previous_NJK=none_NJK,
        others=Others(none_NJK, torch.zeros(count, dtype=torch.long, device=device)),
        level_NSA=draw_levels(range(count), *levels).to(device),
        scene=scene.of([n % images for n in range(count)]),
    )
    ends = config.areas[0], config.areas[-1]
    schedule = Schedule.of(config.optimise, [ends], config.mask.temperature, networks.theta_NK)
    record = microbatch.record
    slots = Slots(networks, schedule, loop.counter.module, config.mask, objective, record=record)
    slots.put(list(range(count)), networks.map(torch.clone))
    return slots
