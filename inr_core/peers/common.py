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
    Head,
    PerturbationConfig,
    Scene,
    claimed,
    claims_kept,
    final_objective,
    scenes,
)
from inr_core.masks import check_areas
from inr_core.metrics import final_scores, pixel_counts, rank_pixels
from inr_core.optimisation import LearnedStart, PathConfig, evidence, source_of
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
    learned   what makes one map of all evidence; None: their sum
    """

    scene: Scene
    seeds: tuple[int, ...]
    classify: Classify
    module: nn.Module
    microbatch: MicroBatch
    learned: LearnedStart | None = None

    @property
    def image_BCHW(self) -> Tensor:
        """The images."""
        return self.scene.image_NCHW

    @property
    def target_B(self) -> Tensor:
        """The classes explained."""
        return self.scene.target_N

    def evidence(self, path: PathConfig, chosen: slice = slice(None)) -> Tensor:
        """Of the class in (some of) the images, (B, H, W); see `inr_core.optimisation.evidence`."""
        scene = self.scene.of(chosen)
        whole_BHW = torch.ones_like(scene.image_NCHW[:, 0])
        source = source_of(self.module, scene.image_NCHW, self.microbatch, self.learned)
        return evidence(scene, whole_BHW, self.classify, source, path, self.microbatch)

    @property
    def strongest_BCHW(self) -> Tensor:
        """The strongest baseline of each image."""
        return self.scene.baseline_NLCHW[:, -1]


MasksOf = Callable[[Task, Any], tuple[Tensor, Tensor | None]]
"""Masks (B, A, H, W) in [0, 1] of a task and, of methods that rank pixels, the map (B, H, W)."""


def ranked(map_of: Callable[[Task, Any], Tensor]) -> MasksOf:
    """Of a method that ranks pixels, by a map (B, H, W), higher first."""

    def masks_of(task: Task, config: Any) -> tuple[Tensor, Tensor]:
        map_BHW = map_of(task, config)
        return top_masks(map_BHW, config.areas), map_BHW

    return masks_of


def unranked(masks_of: Callable[[Task, Any], Tensor]) -> MasksOf:
    """Of a method that finds a mask for every area."""
    return lambda task, config: (masks_of(task, config), None)


def as_ranking(map_BHW: Tensor) -> Tensor:
    """Places of the pixels in 8 bits, 255 = first, every value as often as any other."""
    rank_BHW = rank_pixels(map_BHW)
    return (255 - rank_BHW * 256 // rank_BHW[0].numel()).to("cpu", torch.uint8)


def top_masks(map_BHW: Tensor, areas: Sequence[float]) -> Tensor:
    """Binary masks of the top floor(a H W) pixels, (B, A, H, W) float; ties as in `rank_pixels`."""
    counts = pixel_counts(areas, (map_BHW.shape[1], map_BHW.shape[2]))
    limit_A11 = torch.tensor(counts, device=map_BHW.device)[:, None, None]
    return (rank_pixels(map_BHW)[:, None] < limit_A11).to(map_BHW.dtype)


def explain_by(
    masks_of: MasksOf,
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
    head: Head = "softmax",
    contrast_B: Tensor | None = None,
    contrast_score_B: Tensor | None = None,
    learned: LearnedStart | None = None,
) -> list[list[Explanation]]:
    """One explanation of every image by a peer method; the arguments after two are `explain`'s.

    steps_of  optimisation steps of a configuration
    """
    # On a CPU one image after the other, as in `explain`: sums then never depend on the batch.
    size = 1 if image_BCHW.device.type == "cpu" else len(ids)
    claim_B = claimed(score_B, contrast_score_B)
    given = image_BCHW, target_B, config.perturbation, custom_baseline, size
    found: list[list[Explanation]] = []
    for scene, part in scenes(*given, head=head, contrast_B=contrast_B):
        task = Task(
            scene=scene,
            seeds=tuple(stable_seed(seed, id_, 0, 0) for id_ in ids[part]),
            classify=classify,
            module=module,
            microbatch=microbatch,
            learned=learned,
        )
        made = masks_of(task, config)
        found += [[e] for e in _scored(*made, task, claim_B[part], steps_of(config), config)]
    return found


def _scored(
    masks_BAHW: Tensor,
    map_BHW: Tensor | None,
    task: Task,
    claim_B: Tensor,
    steps: int,
    config: PeerConfig,
) -> list[Explanation]:
    """The masks in 8 bits with their scores, as one explanation of each image."""
    stored_BAHW = (masks_BAHW * 255).round().clamp(0, 255).to("cpu", torch.uint8)
    # A pyramid shows a weaker blur under a soft mask: scores of all methods blend alike.
    scene = replace(task.scene, pyramid=False)
    scores = final_scores(
        stored_BAHW.to(task.image_BCHW.device),
        config.areas,
        claim_B,
        scene,
        task.classify,
        task.microbatch,
        None if map_BHW is None else lambda area_M, some: map_BHW[some],
    )
    objective_B = final_objective(*claims_kept(scores.hard), "dual")
    ranking_BHW = None if map_BHW is None else as_ranking(map_BHW)
    return [
        Explanation(
            restart=0,
            round=0,
            seed=seed,
            best=True,
            objective=objective_B[b].item(),
            steps=steps,
            parameters=None,
            areas=config.areas,
            masks=stored_BAHW[b],
            ranking=None if ranking_BHW is None else ranking_BHW[b],
            **scores.of(b),
        )
        for b, seed in enumerate(task.seeds)
    ]
