"""What the peer methods share: their task, rankings as masks, and masks as explanations.

Shapes: B images, A areas, C channels, H, W. Masks are in [0, 1]; 1 = keep, 0 = perturb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from inr_core.device import MicroBatch
from inr_core.explanation import Explanation
from inr_core.game import (
    Classify,
    PerturbationConfig,
    Scene,
    final_objective,
    mask_scores,
    minimal_area,
    scenes,
)
from inr_core.masks import check_areas
from inr_core.metrics import pixel_counts, rank_pixels
from inr_core.seeds import stable_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerConfig:
    """What every peer method has.

    areas         areas whose masks are stored, fractions of the classifier's input
    perturbation  what stands outside the mask; scores blend the image with its strongest baseline
    """

    areas: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    perturbation: PerturbationConfig = field(default_factory=PerturbationConfig)

    def __post_init__(self) -> None:
        check_areas(self.areas)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a peer method is given: B images with their targets, one seed each, a classifier.

    classify  images -> logits, the classifier as it is explained
    module    the same classifier's module, for methods that look inside
    """

    scene: Scene
    seeds: tuple[int, ...]
    classify: Classify
    module: nn.Module
    microbatch: MicroBatch

    @property
    def image_BCHW(self) -> Tensor:
        """The images."""
        return self.scene.image_NCHW

    @property
    def target_B(self) -> Tensor:
        """The classes explained."""
        return self.scene.target_N

    @property
    def strongest_BCHW(self) -> Tensor:
        """The strongest baseline of each image."""
        return self.scene.baseline_NLCHW[:, -1]


def ranked(map_of: Callable[[Task, Any], Tensor]) -> Callable[[Task, Any], Tensor]:
    """The masks of a method that ranks pixels: map (B, H, W), higher first, to (B, A, H, W)."""

    def masks_of(task: Task, config: Any) -> Tensor:
        return top_masks(map_of(task, config), config.areas)

    return masks_of


def top_masks(map_BHW: Tensor, areas: Sequence[float]) -> Tensor:
    """Binary masks of the top floor(a H W) pixels, (B, A, H, W) float; ties as in `rank_pixels`."""
    counts = pixel_counts(areas, (map_BHW.shape[1], map_BHW.shape[2]))
    limit_A11 = torch.tensor(counts, device=map_BHW.device)[:, None, None]
    return (rank_pixels(map_BHW)[:, None] < limit_A11).to(map_BHW.dtype)


def explain_by(
    masks_of: Callable[[Task, Any], Tensor],
    steps_of: Callable[[Any], int],
    image_BCHW: Tensor,
    target_B: Tensor,
    score_B: Tensor,
    ids: Sequence[str],
    classify: Classify,
    config: Any,
    *,
    seed: int,
    microbatch: MicroBatch,
    module: nn.Module,
    custom_baseline: Tensor | None = None,
) -> list[list[Explanation]]:
    """One explanation of every image by a peer method; the arguments after two are `explain`'s.

    masks_of  masks (B, A, H, W) in [0, 1] of a task
    steps_of  optimisation steps of a configuration
    """
    # On a CPU one image after the other, as in `explain`: sums then never depend on the batch.
    size = 1 if image_BCHW.device.type == "cpu" else len(ids)
    found: list[list[Explanation]] = []
    for scene, part in scenes(image_BCHW, target_B, config.perturbation, custom_baseline, size):
        task = Task(
            scene=scene,
            seeds=tuple(stable_seed(seed, id_, 0, 0) for id_ in ids[part]),
            classify=classify,
            module=module,
            microbatch=microbatch,
        )
        masks_BAHW = masks_of(task, config)
        found += [[e] for e in _scored(masks_BAHW, task, score_B[part], steps_of(config), config)]
    return found


def _scored(
    masks_BAHW: Tensor, task: Task, score_B: Tensor, steps: int, config: PeerConfig
) -> list[Explanation]:
    """The masks in 8 bits with their scores, as one explanation of each image."""
    stored_BAHW = (masks_BAHW * 255).round().clamp(0, 255).to("cpu", torch.uint8)
    # A pyramid shows a weaker blur under a soft mask: scores of all methods blend alike.
    scene = replace(task.scene, pyramid=False)
    kept_BA, removed_BA = mask_scores(
        stored_BAHW.to(task.image_BCHW.device), scene, task.classify, task.microbatch
    )
    objective_B = final_objective(kept_BA, removed_BA, "dual")
    return [
        Explanation(
            restart=0,
            round=0,
            seed=seed,
            best=True,
            objective=objective_B[b].item(),
            steps=steps,
            minimal_area=minimal_area(config.areas, kept_BA[b], score_B[b].item()),
            parameters=None,
            areas=config.areas,
            masks=stored_BAHW[b],
            kept=tuple(kept_BA[b].tolist()),
            removed=tuple(removed_BA[b].tolist()),
        )
        for b, seed in enumerate(task.seeds)
    ]
