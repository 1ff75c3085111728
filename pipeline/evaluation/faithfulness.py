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
    """Scores of hard and soft masks over two baselines, curves, and the order of patches."""
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
    return values | _curves(batch, asked) | {"single_deletion": _single_deletion(batch, asked)}


def judged(batch: Batch, asked: Asked) -> Values:
    """Scores of hard masks on a classifier that they were not optimised for."""
    return _on_another(batch, asked, "judge")


def copied(batch: Batch, asked: Asked) -> Values:
    """Likewise on a copy of the run's classifier that has learnt from images with parts missing."""
    patches = _single_deletion(batch, asked)
    return {**_on_another(batch, asked, "copy"), "single_deletion_copy": patches}


def _on_another(batch: Batch, asked: Asked, name: str) -> Values:
    scores = asked.scores_of_regions(batch.hard_NAHW, batch.image_NCHW, batch.target_N)
    return {f"kept_{name}": scores.kept, f"removed_{name}": scores.removed}


def _single_deletion(batch: Batch, asked: Asked) -> Tensor:
    """How the order of the pixels agrees with what single patches are worth, (N,)."""
    given = (batch.image_NCHW, _rankings(batch), batch.target_N, asked, asked.microbatch)
    return metrics.single_deletion(*given)


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
    given = (batch.image_NCHW, _rankings(batch), batch.target_N, asked, asked.microbatch)
    curves = {
        "insertion": metrics.insertion_curve(*given, head=asked.classifier.head),
        "deletion": metrics.deletion_curve(*given, head=asked.classifier.head),
    }
    return {name: metrics.curve_auc(curve) for name, curve in curves.items()}


def _rankings(batch: Batch) -> Tensor:
    """Of every image, (N, H, W)."""
    ranking = torch.stack([_ranking(prepared.masks) for _, prepared in batch])
    return ranking.to(batch.soft_NAHW)


def _ranking(masks: ImageMasks) -> Tensor:
    """The order of the pixels, (H, W): that of the method's map, or of the masks' sum."""
    if masks.ranking is not None:
        return masks.ranking
    return metrics.area_ranking(masks.chain[0].soft[None])[0]
