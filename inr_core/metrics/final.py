"""Final scores of masks: as they are, as hard masks, and the smallest area that keeps enough.

A haze over the whole image lets the classifier see what a soft mask of its area does not show;
hard masks with feathered edges show what they say.

Shapes: N mask sets, M masks, A areas, H, W. Scores are probabilities, see `inr_core.game.claim`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inr_core.device import MicroBatch
from inr_core.game import Classify, Scene, claimed, claims_kept, mask_scores
from inr_core.metrics.faithfulness import ENOUGH
from inr_core.metrics.ranking import feathered, hard_masks, pixel_counts, rank_pixels

MapsAt = Callable[[Tensor, list[int]], Tensor]
HALVINGS = 4  # of the interval between two stored areas, in search of the smallest sufficient one


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalScores:
    """Scores of N mask sets, on the CPU.

    soft, hard  of the masks as they are and of their hard masks, as `mask_scores` gives them
    smallest    area of each that keeps 90 % of what holds of the image, see `smallest_areas`
    """

    soft: Tensor
    hard: Tensor
    smallest: list[float | None]

    @classmethod
    def together(cls, parts: Sequence[FinalScores]) -> FinalScores:
        """Those of several parts, one after the other."""
        soft, hard = (torch.cat([getattr(p, name) for p in parts], 1) for name in ("soft", "hard"))
        return cls(soft=soft, hard=hard, smallest=[area for p in parts for area in p.smallest])

    def of(self, n: int) -> dict[str, Any]:
        """The scores of one mask set, as an `Explanation` has them."""
        names = ("kept", "removed", "contrast_kept", "contrast_removed")
        found = zip(names, self.soft[:, n].tolist(), strict=False)
        claims_A, _ = claims_kept(self.hard[:, n])
        hard_kept, hard_removed, *_ = self.hard[:, n].tolist()
        return {
            **{name: tuple(scores) for name, scores in found},
            "hard_kept": tuple(hard_kept),
            "hard_removed": tuple(hard_removed),
            "hard_claims": tuple(claims_A.tolist()),
            "minimal_area": self.smallest[n],
        }


def final_scores(
    mask_NAHW: Tensor,
    areas: Sequence[float],
    claim_N: Tensor,
    scene: Scene,
    classify: Classify,
    microbatch: MicroBatch,
    maps_at: MapsAt | None,
) -> FinalScores:
    """Scores of 8-bit masks (255 = keep), over the strongest baseline.

    claim_N  how far the claim holds (`claimed`) of the whole images
    maps_at  maps (M, H, W) whose highest pixels are the masks of other areas (M,) of some of the N;
             None: only the stored areas are looked at
    """
    soft = mask_scores(mask_NAHW, scene, classify, microbatch)
    hard = score_hard(mask_NAHW, areas, scene, classify, microbatch)

    def kept_at(area_M: Tensor, some: list[int]) -> Tensor:
        assert maps_at is not None
        own = scene.of(some)
        return kept_by_top(maps_at(area_M, some), area_M, own, classify, microbatch)

    kept_NA, _ = claims_kept(hard)
    smallest = smallest_areas(areas, kept_NA, claim_N, kept_at if maps_at else None)
    return FinalScores(soft=soft.cpu(), hard=hard.cpu(), smallest=smallest)


def score_hard(
    mask_NAHW: Tensor,
    areas: Sequence[float],
    scene: Scene,
    classify: Classify,
    microbatch: MicroBatch,
) -> Tensor:
    """Scores of the hard masks of 8-bit masks (255 = keep), as `mask_scores` gives them."""
    hard_NAHW = hard_masks(mask_NAHW.to(scene.image_NCHW), areas)
    return mask_scores(hard_NAHW, scene, classify, microbatch)


def kept_by_top(
    map_MHW: Tensor, area_M: Tensor, scene: Scene, classify: Classify, microbatch: MicroBatch
) -> Tensor:
    """How far the claim holds with the highest pixels of each map kept, an area each: (M,)."""
    size = (map_MHW.shape[1], map_MHW.shape[2])
    counts = [pixel_counts([area], size)[0] for area in area_M.tolist()]
    limit_M11 = torch.tensor(counts, device=map_MHW.device)[:, None, None]
    hard_M1HW = (rank_pixels(map_MHW) < limit_M11)[:, None].to(scene.image_NCHW)
    asked = scene, classify, microbatch
    kept, *contrast = mask_scores(feathered(hard_M1HW), *asked, remove=False)
    return claimed(kept, contrast[0] if contrast else None)[:, 0]


def smallest_areas(
    areas: Sequence[float],
    kept_NA: Tensor,
    claim_N: Tensor,
    kept_at: Callable[[Tensor, list[int]], Tensor] | None = None,
) -> list[float | None]:
    """The smallest area that keeps 90 % of what holds of the image, None where no stored one does.

    kept_NA  how far the claim holds with the hard masks of the stored areas kept; claim_N: of the
             whole images
    kept_at  likewise (M,) of masks of other areas (M,) of some of the N; None: only stored areas
    Between the smallest stored area that keeps enough and the next smaller one (or 0), by
    `HALVINGS` halvings, each a forward pass for an image: as if scores rose with the area.
    """
    enough_N = ENOUGH * claim_N.cpu().double()
    keeps_NA = kept_NA.cpu().double() >= enough_N[:, None]
    chosen = keeps_NA.any(1).nonzero()[:, 0].tolist()
    first_M = keeps_NA[chosen].int().argmax(1)
    end = torch.tensor([0.0, *areas], dtype=torch.float64)
    low_M, high_M = end[first_M], end[first_M + 1]
    for _ in range(HALVINGS):
        if kept_at is None or not chosen:
            break
        middle_M = (low_M + high_M) / 2
        good_M = kept_at(middle_M, chosen).cpu().double() >= enough_N[chosen]
        low_M, high_M = (
            torch.where(good_M, low_M, middle_M),
            torch.where(good_M, middle_M, high_M),
        )
    found = dict(zip(chosen, high_M.tolist(), strict=True))
    return [found.get(n) for n in range(len(kept_NA))]
