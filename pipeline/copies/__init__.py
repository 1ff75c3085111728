"""Copies of a classifier with other weights in its top layers: drawn anew, or tuned to masks."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.copies.config import TuneConfig
    from pipeline.copies.copied import Copied, check_copied
    from pipeline.copies.layers import draw_anew, layers_of, top_layers
    from pipeline.copies.masking import masked, random_masks
    from pipeline.copies.overlap import Overlaps, chance, overlaps_of, overlaps_with_centre
    from pipeline.copies.sanity import Sanity
    from pipeline.copies.tuning import Accuracy, Tuned, tune
else:
    __getattr__, __dir__ = lazy(__name__)
