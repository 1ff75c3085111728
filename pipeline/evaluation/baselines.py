"""Scores over baselines that no method saw: what is said of a mask must not hang on one filling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from inr_core import PerturbationConfig, metrics
from pipeline.errors import RequestError
from pipeline.evaluation.asking import Asked
from pipeline.evaluation.batch import Batch
from pipeline.evaluation.inpainting import can_inpaint, inpainted, opencv
from pipeline.evaluation.measures import Values

WEAK_BLUR = PerturbationConfig(sigmas=(0.03,))  # a third as strong as `BLUR`


def unseen(batch: Batch, asked: Asked, names: Sequence[str]) -> Values:
    """Scores of hard masks with feathered edges, kept and removed, over each of the baselines."""
    values: Values = {}
    for name in names:
        kept, removed = BASELINES[name](batch, asked)
        values |= {f"kept_{name}": kept, f"removed_{name}": removed}
    return values


def _weakly_blurred(batch: Batch, asked: Asked) -> tuple[Tensor, Tensor]:
    scene = asked.scene(batch.image_NCHW, batch.target_N, WEAK_BLUR)
    scores = asked.scores(metrics.feathered(batch.hard_NAHW.float()), scene)
    return scores.kept, scores.removed


def _inpainted(batch: Batch, asked: Asked) -> tuple[Tensor, Tensor]:
    """What is removed is inpainted from around it, what is not kept from what is."""
    image, hard = batch.image_NCHW, batch.hard_NAHW
    shown = metrics.feathered(hard.float())
    kept, removed = (
        asked.scores_over(
            inpainted(image, known, asked.classifier.preprocess), mask, image, batch.target_N
        )
        for known, mask in ((hard, shown), (~hard, 1 - shown))
    )
    return kept, removed


BASELINES: dict[str, Callable[[Batch, Asked], tuple[Tensor, Tensor]]] = {
    "weak_blur": _weakly_blurred,
    "telea": _inpainted,
}


def parse_baselines(text: str) -> tuple[str, ...]:
    """Names separated by commas, or `none`; RequestError for others, and for what is missing."""
    names = () if text == "none" else tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in BASELINES:
            raise RequestError(
                f"--baselines {text}: no baseline {name!r}; known: {', '.join(BASELINES)}, or none"
            )
    if "telea" in names:
        opencv()
    return names


def available() -> tuple[str, ...]:
    """All of them, but for what the libraries here cannot do."""
    return tuple(name for name in BASELINES if name != "telea" or can_inpaint())
