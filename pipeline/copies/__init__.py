"""Copies of a classifier with other weights in its top layers: drawn anew, or tuned to masks."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.copies.layers import draw_anew, layers_of, top_layers
    from pipeline.copies.masking import random_masks
    from pipeline.copies.copied import Copied
    from pipeline.copies.tuning import Accuracy, TuneConfig, Tuned, tune
else:
    __getattr__, __dir__ = lazy(__name__)
