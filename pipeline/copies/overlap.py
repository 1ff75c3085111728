"""How much the masks of a changed classifier are those of the intact one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from inr_core import metrics
from inr_core.peers import discs
from pipeline.evaluation import StoredMasks, decode
from pipeline.tables import ExplainedImage, RunReader

Overlaps = Mapping[float, Mapping[str, float]]  # area -> image and class -> IoU


def overlaps_of(run: RunReader, other: RunReader) -> Overlaps:
    """IoU of the hard masks of two runs, best restarts of round 0, on images that both have."""
    theirs = {_key(one): one for one in other.each_explained()}
    own = (one for one in run.each_explained() if _key(one) in theirs)
    return _by_area(own, lambda one, masks: _hard(_masks(theirs[_key(one)])))


def overlaps_with_centre(run: RunReader) -> Overlaps:
    """The same with discs in the middle of the image: what masks share without a classifier."""
    return _by_area(run.each_explained(), lambda one, masks: _discs(masks))


def chance(area: float) -> float:
    """IoU of two random masks of this area: what both have over what either has."""
    return area / (2 - area)


def _by_area(
    explained: Iterable[ExplainedImage], other_of: Callable[[ExplainedImage, StoredMasks], Tensor]
) -> Overlaps:
    found: dict[float, dict[str, float]] = defaultdict(dict)
    for one in explained:
        masks = _masks(one)
        iou_A = metrics.pairwise_iou(torch.stack([_hard(masks), other_of(one, masks)]))
        for area, iou in zip(masks.areas, iou_A.tolist(), strict=True):
            found[area][_key(one)] = iou
    return found


def _key(one: ExplainedImage) -> str:
    return f"{one.id} {one.row['target']}"


def _masks(one: ExplainedImage) -> StoredMasks:
    return decode(one).chain[0]


def _hard(masks: StoredMasks) -> Tensor:
    return metrics.top_area(masks.soft, masks.areas)


def _discs(masks: StoredMasks) -> Tensor:
    size = (masks.soft.shape[1], masks.soft.shape[2])
    return metrics.top_area(discs(size, masks.soft).expand_as(masks.soft), masks.areas)
