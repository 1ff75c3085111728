"""What the classifier says of whole images, before they are explained.

Shapes: B images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core import Classify, MicroBatch
from pipeline.errors import ImageError
from pipeline.manifest import ImageRef

Scored = tuple[int, float]  # a class and its softmax score


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Of a batch.

    target_B, score_B  the classes to explain, the top 1 where none is given, and their scores
    target, predicted  the same and the top 1, image by image, on the host
    """

    target_B: Tensor
    score_B: Tensor
    target: list[Scored]
    predicted: list[Scored]


@torch.no_grad()
def predict(
    image_BCHW: Tensor, refs: Sequence[ImageRef], classify: Classify, microbatch: MicroBatch
) -> Prediction:
    """In one transfer from the device; ImageError if the scores of an image are not finite."""
    parts = microbatch.run(lambda part: classify(image_BCHW[part]), len(image_BCHW), images_each=1)
    scores_BK = torch.cat(parts).softmax(1)
    given_B = torch.tensor([-1 if ref.target is None else ref.target for ref in refs])
    given_B, predicted_B = given_B.to(scores_BK.device), scores_BK.argmax(1)
    target_B = torch.where(given_B < 0, predicted_B, given_B)
    class_B2 = torch.stack((target_B, predicted_B), 1)
    score_B2 = scores_BK.gather(1, class_B2)
    finite_B1 = scores_BK.isfinite().all(1, keepdim=True)
    rows = torch.cat([t.double() for t in (class_B2, score_B2, finite_B1)], 1).tolist()
    if not all(finite for *_, finite in rows):
        raise ImageError("explain", "the classifier's scores of the image are not finite")
    return Prediction(
        target_B=target_B,
        score_B=score_B2[:, 0],
        target=[(int(target), score) for target, _, score, _, _ in rows],
        predicted=[(int(top), score) for _, top, _, score, _ in rows],
    )
