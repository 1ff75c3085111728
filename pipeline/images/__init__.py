"""Images: listing, reading and preparing them; ground truth; masks drawn over them."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.images.boxes import bbox_problem, parse_boxes
    from pipeline.images.decoding import read_image
    from pipeline.images.listing import IMAGE_SUFFIXES, list_images
    from pipeline.images.loading import LoadedImage, load_image
    from pipeline.images.overlays import COLOURS, PAPER, TEXT, overlay, sheet
    from pipeline.images.prefetching import prefetch
    from pipeline.images.preprocess import Preprocess
    from pipeline.images.truth import VOID, Truth, read_values, truth_on_input
else:
    __getattr__, __dir__ = lazy(__name__)
