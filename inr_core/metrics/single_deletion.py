"""Single deletion: does a map rank patches as the classifier's logit falls when one is removed?

The score of Hesse et al. 2024 (arXiv 2407.11910): the image is cut into 4 x 4 patches; the map's
sum over each patch is held against the fall of the target's logit when that patch alone is set to
zero in the classifier's (normalised) input space, by Spearman's rank correlation. Asked of a
classifier that was fine-tuned with images of which parts are missing it is the paper's *in-domain*
score (IDSDS).

Shapes: N images, G patches, C channels, H, W.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inr_core.device import MicroBatch
from inr_core.game import Classify
from inr_core.metrics.certificate import patch_numbers

PATCHES = 4  # along each side


@torch.no_grad()
def single_deletion(
    image_NCHW: Tensor,
    ranking_NHW: Tensor,
    target_N: Tensor,
    classify: Classify,
    microbatch: MicroBatch,
    *,
    patches: int = PATCHES,
) -> Tensor:
    """Rank correlation, (N,) float64 in -1..1, higher is better; NaN where all patches are alike.

    ranking_NHW  a map, the higher the earlier a pixel; `patches` squared forward passes an image
    """
    number_HW = patch_numbers(patches, (image_NCHW.shape[2], image_NCHW.shape[3]))
    patch_GHW = number_HW == torch.arange(patches**2)[:, None, None]
    patch_GHW = patch_GHW.to(image_NCHW.device)
    sum_NG = (ranking_NHW.double()[:, None] * patch_GHW).sum((2, 3))

    def part(chosen: slice) -> Tensor:
        shown = image_NCHW[chosen, None].masked_fill(patch_GHW[None, :, None], 0)
        target = target_N[chosen].repeat_interleave(patches**2)
        logits = classify(shown.flatten(0, 1)).gather(1, target[:, None])
        return logits.view(-1, patches**2)

    logit_NG = torch.cat(microbatch.run(part, len(image_NCHW), patches**2))
    return rank_correlation(sum_NG, -logit_NG)


def rank_correlation(a_NG: Tensor, b_NG: Tensor) -> Tensor:
    """Spearman's, of each row: (N,) float64 in -1..1; NaN where all of a row are equal.

    Equal values share the mean of their ranks.
    """
    a, b = (_centred_ranks(values) for values in (a_NG, b_NG))
    size_N = (a.square().sum(1) * b.square().sum(1)).sqrt()
    return torch.where(size_N > 0, (a * b).sum(1) / size_N, math.nan)


def _centred_ranks(value_NG: Tensor) -> Tensor:
    """Ranks less their mean, times 2: how many values are lower, less how many are higher."""
    return (value_NG[:, :, None] - value_NG[:, None]).sign().double().sum(2)
