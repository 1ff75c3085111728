"""Small pictures for the page: images as JPEG, masks as a strip of areas in 8-bit grey."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

SIDES = ((60, 448), (240, 320))  # up to so many images: pixels of a picture's longer side
SMALLEST = 224
QUALITY = 80  # of a JPEG
MASK_QUALITY = 70  # of a WebP


def side_of(count: int) -> int:
    """Pixels of a picture's longer side on a page of so many images."""
    return next((side for most, side in SIDES if count <= most), SMALLEST)


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """An image, small."""
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def jpeg(picture: Image.Image) -> str:
    """As a data URI."""
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=QUALITY, optimize=True)
    return _data_uri("jpeg", sink.getvalue())


def strip(masks_AHW: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    """Masks side by side in one picture, as a data URI."""
    sink = io.BytesIO()
    Image.fromarray(np.concatenate(list(masks_AHW), axis=1)).save(
        sink, "WEBP", quality=MASK_QUALITY, method=4
    )
    return _data_uri("webp", sink.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
