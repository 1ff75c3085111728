"""Evaluation: analyses that measure masks from the stored tables, image by image."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.evaluation.asking import BLUR, Asked
    from pipeline.evaluation.kinds import METRICS, evaluations, is_repeat
    from pipeline.evaluation.masks import ImageMasks, as_float, decode
    from pipeline.evaluation.truth import truth_of
else:
    __getattr__, __dir__ = lazy(__name__)
