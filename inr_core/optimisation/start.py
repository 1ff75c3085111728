"""Where an optimisation starts: at random weights, or at a field fitted to evidence.

Shapes: N networks, P cells of the coarse grid, K parameters, J earlier rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.device import MicroBatch
from inr_core.game import Classify, Scene
from inr_core.masks import (
    Canvas,
    MaskConfig,
    occupied,
    standardise,
    stratified_areas,
)
from inr_core.optimisation.evidence import PathConfig, Source, evidence
from inr_core.optimisation.fit import Fit
from inr_core.optimisation.repulsion import Others

FIT_POINTS = 12  # of the fit along the shorter side: the map is smooth


@dataclass(frozen=True, kw_only=True, slots=True)
class StartConfig(PathConfig):
    """How the weights begin.

    kind       `gradient`: the weights drawn from the seed are fitted to the `evidence`, of later
               restarts to what is left of it without the earlier ones' masks (independent ones
               stay as drawn, so as to be different); `random`: they stay as drawn
    fit_steps  Adam steps of the fit; they cost no classifier pass
    """

    kind: Literal["gradient", "random"] = "gradient"
    fit_steps: int = 60

    def __post_init__(self) -> None:
        PathConfig.__post_init__(self)
        if self.kind not in ("gradient", "random"):
            raise ValueError(f"start.kind must be gradient or random, got {self.kind!r}")
        if self.fit_steps < 0:
            raise ValueError(f"start.fit_steps must be at least 0, got {self.fit_steps}")


def fitted_start(
    theta_NK: Tensor,
    previous_NJK: Tensor,
    round_N: Tensor,
    areas: Sequence[tuple[float, float]],
    scene: Scene,
    classify: Classify,
    source: Source,
    mask: MaskConfig,
    start: StartConfig,
    microbatch: MicroBatch,
    *,
    fixed: bool,
    others: Others | None = None,
) -> Tensor:
    """Parameters (N, K) whose fields follow the `evidence` of what is left to explain.

    theta_NK      weights at which each fit begins
    previous_NJK  see `occupied`
    areas         (lowest, highest) area that will be trained on, for each round
    fixed         whether networks are fitted in few fixed numbers
    others        earlier restarts, where there can be any
    Earlier rounds and restarts are taken out of the image at the (logit) middle of these areas:
    what rounds took is left out of the fit, what restarts used counts as no evidence.
    """
    size = (scene.image_NCHW.shape[2], scene.image_NCHW.shape[3])
    canvas = Canvas.of(size, max(1, min(size) // FIT_POINTS), theta_NK)
    middles = [stratified_areas(torch.tensor([0.5]), *ends) for ends in areas]
    middle_N1 = torch.stack(middles).to(theta_NK)[round_N]

    def part(chosen: slice) -> Tensor:
        own, of_round_N = scene.of(chosen), round_N[chosen]
        with torch.no_grad():
            taken = occupied(previous_NJK[chosen], middle_N1[chosen], canvas, mask, of_round_N)
            free_N1P = 1 - taken
            unused_N1P = free_N1P
            if others is not None:
                own_others = others.map(lambda tensor: tensor[chosen])
                used_RN1P = own_others.masks(middle_N1[chosen], canvas, mask)
                unused_N1P = free_N1P * (1 - used_RN1P).prod(0)
        shown_NHW = canvas.upsample(unused_N1P)[:, 0]
        smooth_NHW = evidence(own, shown_NHW, classify, source, start, microbatch)
        map_N1P = functional.interpolate(smooth_NHW[:, None], canvas.cells, mode="area").flatten(2)
        weight_N1P = canvas.weight_P * free_N1P
        count = len(map_N1P)
        fit = fit_of(microbatch.room(count, start.passes) if fixed else count)
        target_N1P = standardise(map_N1P, weight_N1P)
        return fit(theta_NK[chosen], target_N1P, weight_N1P, of_round_N)

    def fit_of(count: int) -> Fit:
        key = (Fit, count, tuple(areas), size, mask.network, start.fit_steps, theta_NK.device)
        given = (count, theta_NK[0], areas, canvas, mask.network, start.fit_steps)
        return microbatch.prepared(key, lambda: Fit(*given, record=microbatch.record))

    return torch.cat(microbatch.run(part, len(previous_NJK), start.passes))
