"""Image files of any kind as upright RGB."""

from __future__ import annotations

import io
import math
import re
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.errors import ImageError
from pipeline.images.content import read_bytes
from pipeline.images.reading import MAX_IMAGE_BYTES

# No others: some of Pillow's run programs (EPS: Ghostscript) or follow what a file says.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

_UPRIGHT = {  # EXIF orientation -> what brings the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# `_open` checks the size itself, and an image with a damaged EXIF block is taken as upright.
# Filtered once for the process, as `warnings.catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Corrupt EXIF data")


def read_image(uri: str, max_bytes: int = MAX_IMAGE_BYTES) -> Image.Image:
    """An image file at any URL as upright RGB, fully decoded; of an animation the first frame.

    What is transparent becomes white. ImageError("read") where the file cannot be read,
    ImageError("decode") where it holds no usable image.
    """
    return decode_image(image_bytes(uri, max_bytes))


def decode_image(data: bytes) -> Image.Image:
    """An image file's content as upright RGB; ImageError("decode") where it is no usable image."""
    if not data:
        raise ImageError("decode", "the file is empty")
    try:
        with _open(data) as image:
            return upright_rgb(image)
    except ImageError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise ImageError("decode", f"the image cannot be decoded: {_plain(error)}") from None


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened image as upright RGB; ImageError("decode") for pixels that are no colours."""
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    rgb = _to_rgb(image)
    return rgb if upright is None else rgb.transpose(upright)


def image_bytes(uri: str, max_bytes: int = MAX_IMAGE_BYTES) -> bytes:
    """Content of an image's file at any URL; ImageError("read") where it cannot be read."""
    try:
        return read_bytes(uri, max_bytes)
    except FileNotFoundError:
        raise ImageError("read", "there is no such file") from None
    except PermissionError:
        raise ImageError("read", "permission was denied") from None
    except Exception as error:  # every store raises its own
        raise ImageError("read", f"the file cannot be read: {_plain(error)}") from None


def _open(data: bytes) -> Image.Image:
    too_large = f"the image is larger than {Image.MAX_IMAGE_PIXELS} pixels; scale it down"
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(
            "decode", f"the file is not an image of a known format ({', '.join(FORMATS)})"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError("decode", too_large) from None
    if Image.MAX_IMAGE_PIXELS is not None and math.prod(image.size) > Image.MAX_IMAGE_PIXELS:
        raise ImageError("decode", too_large)
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1 (upright) where the EXIF block is damaged, as the pixels may be fine."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    if image.mode == "F":
        raise ImageError("decode", "pixels are floats of unknown range; store them as 8 or 16 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits scaled to 8; Pillow's own conversion would clip everything above 255."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError("decode", "grey values lie outside 0 to 65535; store them as 16 bits")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _plain(error: Exception) -> str:
    """An error's first line, the same in every run: without memory addresses or paths."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "(an object)", text.splitlines()[0])
