"""How much the masks of a changed classifier are those of the intact one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from inr_core import metrics
from pipeline.evaluation import decode
from pipeline.tables import ExplainedImage, RunReader

Overlaps = Mapping[float, Mapping[str, float]]  # area -> image and class -> IoU


def overlaps_of(run: RunReader, other: RunReader) -> Overlaps:
    """IoU of the hard masks of two runs, best restarts of round 0, on images that both have."""
    theirs = {_key(one): one for one in other.each_explained()}
    return _by_area(
        (one, _hard(theirs[_key(one)])) for one in run.each_explained() if _key(one) in theirs
    )


def overlaps_with_centre(run: RunReader) -> Overlaps:
    """The same with discs in the middle of the image: what masks share without a classifier."""
    return _by_area((one, _discs(one)) for one in run.each_explained())


def chance(area: float) -> float:
    """IoU of two random masks of this area: what both have over what either has."""
    return area / (2 - area)


def _by_area(pairs: Iterator[tuple[ExplainedImage, Tensor]]) -> Overlaps:
    found: dict[float, dict[str, float]] = defaultdict(dict)
    for one, other_AHW in pairs:
        best = decode(one).chain[0]
        hard_AHW = metrics.top_area(best.soft, best.areas)
        iou_A = metrics.pairwise_iou(torch.stack([hard_AHW, other_AHW]))
        for area, iou in zip(best.areas, iou_A.tolist(), strict=True):
            found[area][_key(one)] = iou
    return found


def _key(one: ExplainedImage) -> str:
    return f"{one.id} {one.row['target']}"


def _hard(one: ExplainedImage) -> Tensor:
    best = decode(one).chain[0]
    return metrics.top_area(best.soft, best.areas)


def _discs(one: ExplainedImage) -> Tensor:
    best = decode(one).chain[0]
    height, width = best.soft.shape[-2:]
    y = torch.arange(height)[:, None] - (height - 1) / 2
    x = torch.arange(width) - (width - 1) / 2
    return metrics.top_area(-(y.square() + x.square()).expand_as(best.soft), best.areas)
