"""Images that are measured together.

Shapes: N images, A ascending areas, C channels, H, W.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core import metrics
from pipeline.analysis import Given
from pipeline.evaluation.masks import ImageMasks
from pipeline.images import Truth
from pipeline.tables import ExplainedImage


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is read and decoded of an image besides its pixels.

    truth   None without any
    others  its masks in the other runs that have it
    """

    masks: ImageMasks
    truth: Truth | None = None
    others: tuple[ImageMasks, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Images of equal areas.

    image_NCHW            empty where the analysis needs no pixels
    soft_NAHW, hard_NAHW  best masks of round 0: as stored, and the top a of the pixels (bool)
    full_N                score of the target, of the whole image
    """

    given: Sequence[Given]
    image_NCHW: Tensor
    target_N: Tensor
    full_N: Tensor
    areas: tuple[float, ...]
    soft_NAHW: Tensor
    hard_NAHW: Tensor

    def __iter__(self) -> Iterator[tuple[ExplainedImage, Prepared]]:
        """Rows and what was decoded, image by image."""
        return ((given.one, given.prepared) for given in self.given)


def batches(given: Sequence[Given], device: torch.device) -> Iterator[Batch]:
    """The images as batches: one, but where areas differ."""
    by_areas: dict[tuple[float, ...], list[Given]] = defaultdict(list)
    for one in given:
        by_areas[one.prepared.masks.chain[0].areas].append(one)
    for areas, group in by_areas.items():
        soft = torch.stack([one.prepared.masks.chain[0].soft for one in group]).to(device)
        rows = [one.one.row for one in group]
        pixels = [one.loaded.pixels for one in group if one.loaded is not None]
        images = torch.stack(pixels).to(device) if pixels else soft.new_empty(0)
        yield Batch(
            given=group,
            image_NCHW=images,
            target_N=torch.tensor([row["target"] for row in rows], device=device),
            full_N=torch.tensor([row["score"] for row in rows], device=device),
            areas=areas,
            soft_NAHW=soft,
            hard_NAHW=metrics.top_area(soft, areas),
        )
