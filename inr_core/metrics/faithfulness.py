"""Faithfulness: what the classifier says with a mask and without it.

Scores are probabilities of the target: p(x) of the whole image, kept p(x_m), removed p(x_{1-m}).
Every metric comes per image, so that its mean, its interval and its differences can be taken over
the same images.

Shapes: N images (or networks), A ascending areas, H, W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.device import MicroBatch
from inr_core.game import Classify, Scene, target_score
from inr_core.metrics.ranking import Areas, ascending

ENOUGH = 0.9  # share of the image's score that a sufficient mask keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScores:
    """Scores of N mask sets, each (N, A).

    kept     score of the target with only the mask kept
    removed  the same with the mask removed
    top1     bool: the target is the classifier's first class with only the mask kept
    """

    kept: Tensor
    removed: Tensor
    top1: Tensor


@torch.no_grad()
def score_masks(
    mask_NAHW: Tensor, scene: Scene, classify: Classify, microbatch: MicroBatch
) -> MaskScores:
    """Score soft masks, or `hard_masks`, over the scene's strongest baseline.

    mask_NAHW  float in [0, 1], 1 = keep; another baseline or classifier is another scene or
               `classify`
    """
    areas = mask_NAHW.shape[1]
    strongest = scene.baseline_NLCHW.shape[1] - 1

    def part(chosen: slice) -> tuple[Tensor, Tensor]:
        mask = mask_NAHW[chosen].to(scene.image_NCHW)
        level = torch.full(mask.shape[:2], strongest, device=mask.device)
        target = scene.target_N[chosen].repeat_interleave(areas)
        logits = classify(torch.cat([scene.of(chosen).shown(m, level) for m in (mask, 1 - mask)]))
        top1 = logits[: len(target)].argmax(1) == target
        scores = target_score(logits, target.repeat(2), scene.head)
        return scores.view(2, -1, areas), top1.view(-1, areas)

    scores, top1 = zip(*microbatch.run(part, len(mask_NAHW), 2 * areas), strict=True)
    kept, removed = torch.cat(scores, dim=1)
    return MaskScores(kept=kept, removed=removed, top1=torch.cat(top1))


def score_ratio(score_NA: Tensor, full_N: Tensor) -> Tensor:
    """p(x_m) / p(x), or p(x_{1-m}) / p(x): (N, A), >= 0; NaN where p(x) is 0.

    Kept: higher is better. Removed: lower is better.
    """
    full = full_N[:, None]
    return torch.where(full > 0, score_NA / full, math.nan)


def top1_kept(top1_NA: Tensor, full_top1_N: Tensor) -> Tensor:
    """1 where the target is still the first class, else 0: (N, A) float; higher is better.

    full_top1_N  bool: the target is the first class of the whole image; NaN where it is not, since
                 there is nothing to keep
    """
    return torch.where(full_top1_N[:, None], top1_NA.double(), math.nan)


def drop_percent(kept_NA: Tensor, full_N: Tensor) -> Tensor:
    """100 max(0, p(x) - p(x_m)) / p(x), (N, A) in 0..100; its mean is average drop %.

    Lower is better; NaN where p(x) is 0.
    """
    return 100 * (1 - score_ratio(kept_NA, full_N)).clamp_min(0)


def increase_percent(kept_NA: Tensor, full_N: Tensor) -> Tensor:
    """100 where p(x_m) > p(x), else 0: (N, A) float; its mean is increase %, higher is better."""
    return 100 * (kept_NA > full_N[:, None]).double()


def gain(kept_NA: Tensor, full_N: Tensor) -> Tensor:
    """max(0, p(x_m) - p(x)) / (1 - p(x)), (N, A) in 0..1, higher is better; 0 where p(x) is 1."""
    full = full_N[:, None]
    room = (1 - full).clamp_min(torch.finfo(full.dtype).tiny)
    return (kept_NA - full).clamp_min(0) / room


def minimal_areas(areas: Areas, kept_NA: Tensor, full_N: Tensor) -> Tensor:
    """a*, the smallest of these areas that keeps 90 % of p(x): (N,) float64; NaN where none does.

    Lower is better, at an equal share of NaN.
    """
    area_A = torch.tensor(ascending(areas), dtype=torch.float64, device=kept_NA.device)
    enough_NA = kept_NA >= ENOUGH * full_N[:, None]
    smallest_N = torch.where(enough_NA, area_A, math.inf).amin(1)
    return torch.where(smallest_N.isfinite(), smallest_N, math.nan)
