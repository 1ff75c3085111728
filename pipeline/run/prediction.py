"""What the classifier says of whole images, and which of their classes are to be explained.

Shapes: B images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inr_core import Classify, Head, MicroBatch, class_scores
from pipeline.classifiers import TargetRule
from pipeline.errors import ImageError, RequestError
from pipeline.manifest import ImageRef, Targets

Scored = tuple[int, float]  # a class and its score
RUNNER_UP = "runner-up"


@dataclass(frozen=True, slots=True)
class Asked:
    """A class of an image that is to be explained.

    image     place in its batch
    contrast  the class that it is held against, if any
    """

    image: int
    target: Scored
    contrast: Scored | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of a batch: the top 1 of each image, and what is asked of it, or why nothing can be."""

    predicted: list[Scored]
    asked: list[list[Asked] | ImageError]

    @property
    def all_asked(self) -> list[Asked]:
        """Image by image."""
        return [one for of in self.asked if not isinstance(of, ImageError) for one in of]


@torch.no_grad()
def scores_of(image_BCHW: Tensor, classify: Classify, head: Head, microbatch: MicroBatch) -> Tensor:
    """Scores of whole images, (B, K), on the host in one transfer.

    ImageError if they are not finite.
    """
    parts = microbatch.run(lambda part: classify(image_BCHW[part]), len(image_BCHW), images_each=1)
    score_BK = class_scores(torch.cat(parts).float(), head).cpu()
    if not score_BK.isfinite().all():
        raise ImageError("explain", "the classifier's scores of the image are not finite")
    return score_BK


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of every image.

    rule      which of its classes are explained
    contrast  class index that they are held against; `runner-up`: the highest class of the image
              besides the explained one; or None
    classes   names of all classes
    """

    rule: TargetRule
    contrast: int | str | None
    classes: Sequence[str]

    def of(self, score_BK: Tensor, refs: Sequence[ImageRef]) -> Prediction:
        """What is asked of images with these scores; of equal scores the first class is higher."""
        few = self.rule.count + (self.contrast == RUNNER_UP)
        least_B = score_BK.topk(min(few, score_BK.shape[1])).values[:, -1]
        if self.rule.kind == "above":
            least_B = least_B.clamp_max(self.rule.score)
        predicted, asked = [], []
        for b, (ref, score_K, least) in enumerate(zip(refs, score_BK, least_B, strict=True)):
            order = highest(score_K, least)
            predicted.append((order[0], score_K[order[0]].item()))
            asked.append(self._asked(b, order, score_K, ref.target))
        return Prediction(predicted, asked)

    def _asked(
        self, image: int, order: list[int], score_K: Tensor, given: int | None
    ) -> list[Asked] | ImageError:
        """The classes of one image, without the one that they are held against."""

        def scored(k: int) -> Scored:
            return k, score_K[k].item()

        chosen = self.rule.choose(dict(map(scored, order)), given)
        if not chosen:
            return ImageError("explain", f"no class scores more than {self.rule.score:g}")
        if self.contrast is None:
            return [Asked(image, scored(k)) for k in chosen]
        found = []
        for k in chosen:
            other = self.contrast
            if other == RUNNER_UP:
                other = next(j for j in order if j != k)
            if other != k:
                found.append(Asked(image, scored(k), scored(int(other))))
        return found or ImageError(
            "explain",
            f"the class to explain, {self.classes[chosen[0]]}, is the one that it is to be held "
            "against",
        )


def highest(score_K: Tensor, least: Tensor) -> list[int]:
    """Classes that score at least so much, the highest first, of equal ones the first."""
    found = (score_K >= least).nonzero()[:, 0]
    order: list[int] = found[score_K[found].argsort(descending=True, stable=True)].tolist()
    return order


def columns(asked: Sequence[Asked], device: torch.device) -> dict[str, Tensor]:
    """What a method is told of classes: `target_B`, `score_B`, and both of the contrast, if any."""
    targets, scores = zip(*(one.target for one in asked), strict=True)
    given = {"target_B": targets, "score_B": scores}
    contrasts = [one.contrast for one in asked if one.contrast is not None]
    if contrasts:
        given["contrast_B"], given["contrast_score_B"] = zip(*contrasts, strict=True)
    return {name: torch.tensor(values, device=device) for name, values in given.items()}


def contrast_of(config: Any) -> int | str | None:
    """What the classes are held against; None where nothing, or where the method has no games."""
    contrast: int | str | None = getattr(getattr(config, "objective", None), "contrast", None)
    return contrast


def with_contrast(config: Any, classes: Sequence[str]) -> Any:
    """The settings of a method with a class index in place of its name; RequestError if there is
    no such class, or none besides the explained one.
    """
    contrast = contrast_of(config)
    if contrast is None:
        return config
    if len(classes) < 2:
        raise RequestError("objective.contrast: the classifier has one class; expected several")
    if contrast == RUNNER_UP:
        return config
    targets = Targets(classes)
    index = targets.index(str(contrast).strip())
    if index is None:
        problem = targets.problem(str(contrast).strip()).removeprefix("target ")
        raise RequestError(f"objective.contrast: {problem}; or give {RUNNER_UP}")
    return replace(config, objective=replace(config.objective, contrast=index))
