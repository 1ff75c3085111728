"""Images: listing, reading and preparing them; ground truth; masks drawn over them."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.images.boxes import bbox_problem, parse_boxes
    from pipeline.images.decoding import image_bytes, read_image, upright_rgb
    from pipeline.images.listing import IMAGE_SUFFIXES, list_images
    from pipeline.images.loading import LoadedImage, digest_of, load_image, normalise, prepared
    from pipeline.images.overlays import COLOURS, STYLES, Style, overlay
    from pipeline.images.prefetching import closed, one_ahead, prefetch
    from pipeline.images.preprocess import Preprocess
    from pipeline.images.reading import MAX_IMAGE_BYTES, special_file
    from pipeline.images.sheets import PAPER, TEXT, clipped, sheet
    from pipeline.images.state import file_state
    from pipeline.images.truth import VOID, Truth, read_values, truth_on_input
else:
    __getattr__, __dir__ = lazy(__name__)
