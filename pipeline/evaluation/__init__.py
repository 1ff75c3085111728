"""Evaluation: analyses that measure masks from the stored tables, image by image."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.evaluation.asking import BLUR, Asked
    from pipeline.evaluation.baselines import BASELINES, available, parse_baselines
    from pipeline.evaluation.kinds import METRICS, check_judge, copy_of, evaluations, is_repeat
    from pipeline.evaluation.masks import ImageMasks, StoredMasks, as_float, decode
    from pipeline.evaluation.truth import truth_of
else:
    __getattr__, __dir__ = lazy(__name__)
