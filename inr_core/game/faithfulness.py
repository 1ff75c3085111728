"""Faithfulness of masks: what the classifier says with them and without them.

Shapes: N networks, A areas, H, W. Scores are probabilities, see `claim`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core.device import MicroBatch
from inr_core.game.claim import claimed, target_score
from inr_core.game.scene import Classify, Scene


@torch.no_grad()
def mask_scores(
    mask_NAHW: Tensor,
    scene: Scene,
    classify: Classify,
    microbatch: MicroBatch,
    *,
    remove: bool = True,
) -> Tensor:
    """Target's score of the kept image p(x_m) and of the image without it p(x_{1-m}), (2, N, A).

    With a contrast (4, N, A): then both scores of that class.
    mask_NAHW  8-bit masks as they are stored (255 = keep), or floats in [0, 1]; the strongest
               baseline is used
    remove     whether the images without the masks are scored too; else half as many rows
    """
    areas, sides = mask_NAHW.shape[1], 2 if remove else 1
    strongest = scene.baseline_NLCHW.shape[1] - 1
    whole = 1 if mask_NAHW.is_floating_point() else 255

    def part(chosen: slice) -> Tensor:
        mask = mask_NAHW[chosen].to(scene.image_NCHW) / whole
        level = torch.full(mask.shape[:2], strongest, device=mask.device)
        own = scene.of(chosen)
        logits = classify(torch.cat([own.shown(m, level) for m in (mask, 1 - mask)[:sides]]))
        classes = [own.target_N] + ([] if own.contrast_N is None else [own.contrast_N])
        scores = [
            target_score(logits, of.repeat_interleave(areas).repeat(sides), own.head)
            for of in classes
        ]
        return torch.cat(scores).view(sides * len(classes), -1, areas)

    return torch.cat(microbatch.run(part, len(mask_NAHW), sides * areas), dim=1)


def claims_kept(scores_SNA: Tensor) -> tuple[Tensor, Tensor]:
    """How far the claim holds of the kept and of the removed image, each (N, A); see `claimed`.

    scores_SNA  as `mask_scores` gives them
    """
    kept, removed, *others = scores_SNA
    contrast_kept, contrast_removed = others or (None, None)
    return claimed(kept, contrast_kept), claimed(removed, contrast_removed)
