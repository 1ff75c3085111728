"""Metrics that ask a classifier: what it says with a mask and without it."""

from __future__ import annotations

import torch

from inr_core import PerturbationConfig, metrics
from pipeline.evaluation.asking import BLUR, Asked, feathered, scene_of
from pipeline.evaluation.batch import Batch
from pipeline.evaluation.measures import Values

MEAN = PerturbationConfig(kind="mean")


@torch.no_grad()
def faithfulness(batch: Batch, asked: Asked) -> Values:
    """Scores of hard and soft masks over two baselines, and curves."""
    blurred, coloured = (
        scene_of(batch.image_NCHW, batch.target_N, config) for config in (BLUR, MEAN)
    )
    hard = feathered(batch.hard_NAHW)
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
    ranking = metrics.area_ranking(batch.soft_NAHW)
    given = (batch.image_NCHW, ranking, batch.target_N, asked, asked.microbatch)
    curves = {
        "insertion": metrics.insertion_curve(*given),
        "deletion": metrics.deletion_curve(*given),
    }
    return {name: metrics.curve_auc(curve) for name, curve in curves.items()}
