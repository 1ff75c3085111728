"""Metrics that ask a classifier: what it says with a mask and without it."""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core import PerturbationConfig, metrics
from pipeline.evaluation.asking import BLUR, Asked
from pipeline.evaluation.batch import Batch
from pipeline.evaluation.masks import ImageMasks
from pipeline.evaluation.measures import Values

MEAN = PerturbationConfig(kind="mean")


@torch.no_grad()
def faithfulness(batch: Batch, asked: Asked) -> Values:
    """Scores of hard and soft masks over two baselines, and curves."""
    blurred, coloured = (
        asked.scene(batch.image_NCHW, batch.target_N, config) for config in (BLUR, MEAN)
    )
    hard = metrics.feathered(batch.hard_NAHW.float())
    values = _kept(batch, asked.scores(hard, blurred))
    for suffix, shown, scene in (
        ("soft", batch.soft_NAHW, blurred),
        ("mean_colour", hard, coloured),
    ):
        scores = asked.scores(shown, scene)
        values |= {f"kept_{suffix}": scores.kept, f"removed_{suffix}": scores.removed}
    return values | _curves(batch, asked)


def _kept(batch: Batch, scores: metrics.MaskScores) -> Values:
    kept, full = scores.kept, batch.full_N
    rows = (one.row for one, _ in batch)
    top1 = torch.tensor([row["predicted"] == row["target"] for row in rows], device=full.device)
    return {
        "kept": kept,
        "removed": scores.removed,
        "kept_ratio": metrics.score_ratio(kept, full),
        "removed_ratio": metrics.score_ratio(scores.removed, full),
        "drop": metrics.drop_percent(kept, full),
        "increase": metrics.increase_percent(kept, full),
        "gain": metrics.gain(kept, full),
        "monotone": metrics.monotone_share(kept),
        "minimal_area": metrics.minimal_areas(batch.areas, kept, full),
        "top1_kept": metrics.top1_kept(scores.top1, top1),
    }


def _curves(batch: Batch, asked: Asked) -> Values:
    ranking = torch.stack([_ranking(prepared.masks) for _, prepared in batch])
    ranking = ranking.to(batch.soft_NAHW)
    given = (batch.image_NCHW, ranking, batch.target_N, asked, asked.microbatch)
    curves = {
        "insertion": metrics.insertion_curve(*given, head=asked.classifier.head),
        "deletion": metrics.deletion_curve(*given, head=asked.classifier.head),
    }
    return {name: metrics.curve_auc(curve) for name, curve in curves.items()}


def _ranking(masks: ImageMasks) -> Tensor:
    """The order of the pixels, (H, W): that of the method's map, or of the masks' sum."""
    if masks.ranking is not None:
        return masks.ranking
    return metrics.area_ranking(masks.chain[0].soft[None])[0]
