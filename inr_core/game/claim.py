"""What is claimed of an image: that it is of a class, perhaps rather than of a certain other one.

Scores are probabilities, as the classifier's head has them: `softmax`, one class out of all, or
`sigmoid`, each class for itself (multi-label).

Shapes: M images, K classes.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Head = Literal["softmax", "sigmoid"]
HEADS: tuple[Head, ...] = ("softmax", "sigmoid")


def class_scores(logits_MK: Tensor, head: Head = "softmax") -> Tensor:
    """Scores of all classes, (M, K) in [0, 1]."""
    return logits_MK.softmax(1) if head == "softmax" else logits_MK.sigmoid()


def target_score(logits_MK: Tensor, target_M: Tensor, head: Head = "softmax") -> Tensor:
    """Score of the target, (M,)."""
    return class_scores(logits_MK.float(), head).gather(1, target_M[:, None])[:, 0]


def log_kept(
    logits_MK: Tensor,
    target_M: Tensor,
    head: Head = "softmax",
    contrast_M: Tensor | None = None,
) -> Tensor:
    """log p_c, (M,): reward of the preservation game; with a contrast b log p_c - log p_b."""
    log_p = logits_MK.log_softmax(1) if head == "softmax" else functional.logsigmoid(logits_MK)
    kept = log_p.gather(1, target_M[:, None])[:, 0]
    return kept if contrast_M is None else kept - log_p.gather(1, contrast_M[:, None])[:, 0]


def log_removed(
    logits_MK: Tensor,
    target_M: Tensor,
    head: Head = "softmax",
    contrast_M: Tensor | None = None,
) -> Tensor:
    """log(1 - p_c), (M,): reward of the deletion game, without cancellation near p_c = 1.

    With a contrast b log p_b - log p_c: without the evidence, it is b rather than c.
    """
    if contrast_M is not None:
        return -log_kept(logits_MK, target_M, head, contrast_M)
    if head == "sigmoid":
        return functional.logsigmoid(-logits_MK).gather(1, target_M[:, None])[:, 0]
    others = logits_MK.scatter(1, target_M[:, None], -math.inf)
    return others.logsumexp(1) - logits_MK.logsumexp(1)


def claimed(score: Tensor, contrast_score: Tensor | None) -> Tensor:
    """How far the claim holds, in [0, 1]: p_c, with a contrast p_c / (p_c + p_b)."""
    if contrast_score is None:
        return score
    tiny = torch.finfo(score.dtype).tiny
    return score / (score + contrast_score).clamp_min(tiny)
