"""Images: listing, reading and preparing them; ground truth; masks drawn over them."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.images.boxes import bbox_problem, parse_boxes
    from pipeline.images.decoding import image_bytes, read_image, upright_rgb
    from pipeline.images.fitting import Box
    from pipeline.images.listing import IMAGE_SUFFIXES, given_images, list_images
    from pipeline.images.loading import (
        LoadedImage,
        decoded,
        digest_of,
        load_image,
        normalise,
        prepared,
    )
    from pipeline.images.overlays import COLOURS, STYLES, Style, overlay
    from pipeline.images.prefetching import AHEAD, READERS, closed, one_ahead, prefetch
    from pipeline.images.preprocess import Preprocess, Shown, by, pair, parse_fields
    from pipeline.images.reading import MAX_IMAGE_BYTES, special_file
    from pipeline.images.sheets import PAPER, TEXT, clipped, sheet
    from pipeline.images.state import file_state
    from pipeline.images.together import Together
    from pipeline.images.truth import VOID, Truth, read_values, truth_on_input
else:
    __getattr__, __dir__ = lazy(__name__)
