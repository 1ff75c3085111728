"""Faithfulness of masks: what the classifier says with them and without them.

Shapes: N networks, A areas, H, W. Scores are softmax probabilities of the target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core.device import MicroBatch
from inr_core.game.scene import Classify, Scene


def target_score(logits_MK: Tensor, target_M: Tensor) -> Tensor:
    """Softmax probability of the target, (M,)."""
    return torch.softmax(logits_MK.float(), dim=1).gather(1, target_M[:, None])[:, 0]


@torch.no_grad()
def mask_scores(
    mask_NAHW: Tensor, scene: Scene, classify: Classify, microbatch: MicroBatch
) -> tuple[Tensor, Tensor]:
    """Scores of the kept image p(x_m) and of the image without it p(x_{1-m}), each (N, A).

    mask_NAHW  8-bit masks as they are stored (255 = keep); the strongest baseline is used
    """
    areas = mask_NAHW.shape[1]
    strongest = scene.baseline_NLCHW.shape[1] - 1

    def part(chosen: slice) -> Tensor:
        mask = mask_NAHW[chosen].to(scene.image_NCHW) / 255
        level = torch.full(mask.shape[:2], strongest, device=mask.device)
        target = scene.target_N[chosen].repeat_interleave(areas)
        shown = torch.cat([scene.of(chosen).shown(m, level) for m in (mask, 1 - mask)])
        scores = target_score(classify(shown), target.repeat(2))
        return scores.view(2, -1, areas)

    kept, removed = torch.cat(microbatch.run(part, len(mask_NAHW), 2 * areas), dim=1)
    return kept, removed


def minimal_area(areas: tuple[float, ...], kept_A: Tensor, score: float) -> float | None:
    """The smallest of the areas whose mask keeps 90 % of the image's score; None if none does."""
    keeping = [a for a, kept in zip(areas, kept_A.tolist(), strict=True) if kept >= 0.9 * score]
    return min(keeping, default=None)
