"""Metrics of masks alone: behaviour in the area, shape, localisation, several explanations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inr_core import metrics, render
from pipeline.evaluation.batch import Batch
from pipeline.evaluation.masks import ImageMasks, StoredMasks
from pipeline.tables import ExplainedImage

Values = dict[str, Tensor]  # metric -> (N, A), or (N,) where it has no area; NaN: undefined
UNSEEN = (0.03, 0.07, 0.15, 0.3)  # areas that no run stores by default


def shape(batch: Batch) -> Values:
    """How long the outlines of hard masks are, and in how many pieces they lie."""
    significant = metrics.count_components(batch.hard_NAHW)[1]
    return {
        "perimeter": metrics.disc_ratio(batch.hard_NAHW),
        "components": significant.double(),
    }


def behaviour(batch: Batch) -> Values:
    """Whether masks have their areas, are binary, and grow; also at areas not trained on."""
    values = _area_values(batch.soft_NAHW, batch.areas)
    values["binariness_gap"] = metrics.binariness_gap(batch.soft_NAHW)
    if batch.given[0].one.settings.networks:
        grid = tuple(sorted({*batch.areas, *UNSEEN}))
        unseen = _area_values(_rendered(batch, grid), grid)
        unseen["area_error"] = unseen["area_error"].amax(1)  # one number: the worst of the grid
        values |= {f"{name}_unseen": value for name, value in unseen.items()}
    return values


def localisation(batch: Batch) -> Values:
    """Where masks lie on the ground truth, NaN for images without any.

    Void pixels of the ground truth count neither as object nor as background.
    """
    truths = [prepared.truth for _, prepared in batch]
    having = [n for n, truth in enumerate(truths) if truth is not None]
    if not having:
        return {}
    device = batch.soft_NAHW.device
    some = [truth for truth in truths if truth is not None]
    truth = torch.stack([torch.from_numpy(t.object) for t in some]).to(device)
    counted = torch.stack([torch.from_numpy(~t.ignore) for t in some]).to(device)[:, None]
    soft, hard = batch.soft_NAHW[having] * counted, batch.hard_NAHW[having] & counted
    values = {
        "precision": metrics.hard_precision(hard, truth),
        "precision_soft": metrics.soft_precision(soft, truth),
        "ceiling": metrics.ceiling(truth, batch.areas),
        "recall": metrics.recall(hard, truth),
        "iou": metrics.object_iou(hard, truth),
        "context": metrics.context_reliance(soft, truth),
        "rank_accuracy": metrics.relevance_rank_accuracy(soft, truth),
        "pointing": metrics.pointing_hit(soft, truth),
        "chance": metrics.chance(truth),
    }
    return {name: _spread(value, having, len(truths)) for name, value in values.items()}


def agreement(batch: Batch) -> Values:
    """How restarts agree, and how rounds overlap and add up."""
    rows = (
        _of_explanations(prepared.masks, batch.hard_NAHW[n].cpu())
        for n, (_, prepared) in enumerate(batch)
    )
    return _together(list(rows), len(batch.areas))


def stability(batch: Batch) -> Values:
    """How the best masks agree with those of runs with other seeds."""
    rows = []
    for (_, prepared), hard in zip(batch, batch.hard_NAHW.cpu(), strict=True):
        again = [_hard(masks.chain[0]) for masks in prepared.others]
        rows.append(
            {"seed_iou": metrics.pairwise_iou(torch.stack([hard, *again]))} if again else {}
        )
    return _together(rows, len(batch.areas))


def _area_values(soft_NAHW: Tensor, areas: tuple[float, ...]) -> Values:
    return {
        "area_error": metrics.area_error(soft_NAHW, areas),
        "nestedness": metrics.nestedness(soft_NAHW),
        "path_ratio": metrics.path_ratio(soft_NAHW),
    }


def _rendered(batch: Batch, grid: tuple[float, ...]) -> Tensor:
    """Masks of the grid's areas; the stored ones as they are, for rendering gives the same."""
    missing = [area for area in grid if area not in batch.areas]
    stored = dict(zip(batch.areas, batch.soft_NAHW.unbind(1), strict=True))
    theta = torch.stack([_network(one) for one, _ in batch])
    settings = batch.given[0].one.settings
    fresh = render(
        theta,
        theta[:, None][:, :0],
        torch.tensor([missing] * len(theta), dtype=torch.float64),
        settings.size,
        settings.config.mask,
    )
    made = {a: m.to(batch.soft_NAHW) / 255 for a, m in zip(missing, fresh.unbind(1), strict=True)}
    return torch.stack([{**stored, **made}[area] for area in grid], 1)


def _network(one: ExplainedImage) -> Tensor:
    return torch.frombuffer(bytearray(one.best()["parameters"]), dtype=torch.float16)


def _of_explanations(masks: ImageMasks, hard_AHW: Tensor) -> Values:
    """Of one image."""
    values: Values = {}
    if len(masks.restarts) > 1:
        best = masks.chain[0]
        hard = [hard_AHW if stored is best else _hard(stored) for stored in masks.restarts]
        values["restart_iou"] = metrics.pairwise_iou(torch.stack(hard))
    if len(masks.chain) > 1:
        room = len(masks.chain[-1].areas)  # later rounds may have fewer areas
        soft = torch.stack([stored.soft[:room] for stored in masks.chain])
        values["round_overlap"] = metrics.mask_overlap(soft)
        values["round_coverage"] = metrics.union_coverage(soft)
    return values


def _hard(masks: StoredMasks) -> Tensor:
    return metrics.top_area(masks.soft, masks.areas)


def _spread(value: Tensor, places: Sequence[int], count: int) -> Tensor:
    """Values of some of the images, NaN for the others."""
    whole = torch.full((count, *value.shape[1:]), math.nan, dtype=value.dtype, device=value.device)
    whole[list(places)] = value
    return whole


def _together(rows: Sequence[Values], areas: int) -> Values:
    """Of all images, NaN where an image, or an area of it, has no value."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: torch.full((len(rows), areas), math.nan, dtype=torch.float64) for name in names}
    for n, row in enumerate(rows):
        for name, value in row.items():
            found[name][n, : len(value)] = value.double()
    return found
