"""One classifier looked at: what it sees in an image, and whether it can be explained."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from inr_core import log_kept
from pipeline.classifiers.classifier import Classifier
from pipeline.images import load_image


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a classifier makes of an image.

    top       (class name, score) of its best classes, best first
    gradient  largest absolute value of the image's gradient of the best score's logarithm; 0 or
              None (no gradient at all) mean that masks cannot be optimised
    """

    top: tuple[tuple[str, float], ...]
    gradient: float | None


def check_classifier(classifier: Classifier, uri: str, top: int = 5) -> Checked:
    """Classify an image at a path or URL; raises ImageError if it cannot be read."""
    pixels = load_image(uri, classifier.preprocess).pixels[None].to(classifier.device)
    image = pixels.requires_grad_()
    logits = classifier.classify(image)
    best = classifier.scores(logits.detach())[0].topk(min(top, len(classifier.classes)))
    names = [classifier.classes[k] for k in best.indices.tolist()]
    return Checked(
        top=tuple(zip(names, best.values.tolist(), strict=True)),
        gradient=_reach(log_kept(logits, best.indices[:1], classifier.head)[0], image),
    )


def _reach(log_score: torch.Tensor, image: torch.Tensor) -> float | None:
    if not log_score.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(log_score, image, allow_unused=True)
    return None if gradient is None else gradient.abs().max().item()
