"""Metrics of masks alone: behaviour in the area, shape, localisation."""

from __future__ import annotations

from torch import Tensor

from inr_core import metrics
from pipeline.tables import StoredMasks

Values = dict[str, Tensor]  # metric -> one value per area, or a single one


def area_values(soft: Tensor, areas: tuple[float, ...]) -> Values:
    return {
        "area_error": metrics.area_error(soft[None], areas)[0],
        "nestedness": metrics.nestedness(soft[None])[0],
        "path_ratio": metrics.path_ratio(soft[None])[0],
    }


def shape(masks: StoredMasks) -> Values:
    significant = metrics.count_components(masks.hard[None])[1]
    return {
        "perimeter": metrics.disc_ratio(masks.hard[None])[0],
        "components": significant[0].double(),
    }


def localisation(masks: StoredMasks, truth: Tensor, counted: Tensor) -> Values:
    """Void pixels of the ground truth count neither as object nor as background."""
    soft, hard, truth_NHW = (masks.soft * counted)[None], (masks.hard & counted)[None], truth[None]
    values = {
        "precision": metrics.hard_precision(hard, truth_NHW),
        "precision_soft": metrics.soft_precision(soft, truth_NHW),
        "ceiling": metrics.ceiling(truth_NHW, masks.areas),
        "recall": metrics.recall(hard, truth_NHW),
        "iou": metrics.object_iou(hard, truth_NHW),
        "context": metrics.context_reliance(soft, truth_NHW),
        "rank_accuracy": metrics.relevance_rank_accuracy(soft, truth_NHW),
        "pointing": metrics.pointing_hit(soft, truth_NHW),
        "chance": metrics.chance(truth_NHW),
    }
    return {name: value[0] for name, value in values.items()}
