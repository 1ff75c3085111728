"""Where an optimisation starts: at random weights, or at a field fitted to path gradients.

Shapes: N networks, S points on a path, P cells of the coarse grid, K parameters, J earlier rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.device import MicroBatch
from inr_core.game import Classify, Scene, gaussian_blur
from inr_core.masks import (
    Canvas,
    MaskConfig,
    occupied,
    standardise,
    stratified_areas,
)
from inr_core.optimisation.fit import Fit

FIT_POINTS = 12  # of the fit along the shorter side: the map is smooth


@dataclass(frozen=True, kw_only=True, slots=True)
class PathConfig:
    """How the path gradients at which optimisations start are computed.

    passes  classifier passes along the path from the baseline to the image
    blur    smoothing of the gradients (standard deviation), a fraction of the shorter side
    """

    passes: int = 8
    blur: float = 0.09

    def __post_init__(self) -> None:
        if self.passes < 1 or self.blur <= 0:
            raise ValueError(
                f"start.passes must be at least 1 and blur positive, got {self.passes}, {self.blur}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class StartConfig(PathConfig):
    """How the weights of the first restart begin; further ones begin at random, to stay different.

    kind       `gradient`: the weights drawn from the seed are fitted to the path gradients;
               `random`: they stay as drawn
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
    mask: MaskConfig,
    start: StartConfig,
    microbatch: MicroBatch,
    *,
    fixed: bool,
) -> Tensor:
    """Parameters (N, K) whose fields follow the smoothed path gradients of what is left to explain.

    theta_NK      weights at which each fit begins
    previous_NJK  see `occupied`
    areas         (lowest, highest) area that will be trained on, for each round
    fixed         whether networks are fitted in few fixed numbers
    Earlier rounds are taken out of the image at the (logit) middle of these areas.
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
        shown_NHW = canvas.upsample(free_N1P)[:, 0]
        smooth_NHW = start_map(own, shown_NHW, classify, start, microbatch)
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


def start_map(
    scene: Scene, shown_NHW: Tensor, classify: Classify, path: PathConfig, microbatch: MicroBatch
) -> Tensor:
    """Smoothed path gradients, (N, H, W), signed; arguments as in `path_gradients`."""
    relevance_NHW = path_gradients(scene, shown_NHW, classify, path.passes, microbatch)
    sigma = path.blur * min(relevance_NHW.shape[1:])
    return gaussian_blur(relevance_NHW[:, None], sigma)[:, 0]


def path_gradients(
    scene: Scene, shown_NHW: Tensor, classify: Classify, points: int, microbatch: MicroBatch
) -> Tensor:
    """Relevance of every pixel, (N, H, W), signed: gradient times the way to the image.

    The gradient is that of `log_kept`, summed over `points` on the straight path from the strongest
    baseline to the image, of which only `shown_NHW` (1 = visible) is revealed. Integrated gradients
    (Sundararajan et al., ICML 2017) with a blurred baseline.
    """

    def part(chosen: slice) -> Tensor:
        baseline = scene.baseline_NLCHW[chosen, -1]
        way = (scene.image_NCHW[chosen] - baseline) * shown_NHW[chosen, None]
        share = (torch.arange(points, device=way.device, dtype=way.dtype) + 0.5) / points
        path = baseline[:, None] + share[:, None, None, None] * way[:, None]
        path = path.flatten(0, 1).requires_grad_()
        kept = scene.of(chosen).log_kept(classify(path).float(), points)
        (gradient,) = torch.autograd.grad(kept.sum(), path)
        return (gradient.view(-1, points, *way.shape[1:]).mean(1) * way).sum(1)

    return torch.cat(microbatch.run(part, len(scene.image_NCHW), points))
