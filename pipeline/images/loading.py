"""Images as a classifier sees them: resized, cropped and normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images.decoding import read_image
from pipeline.images.preprocess import INTERPOLATIONS, Preprocess

MAX_RESIZED_PIXELS = 64_000_000  # beyond it, a thin strip would fill the memory when resized


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image as the classifier sees it.

    `pixels` is (3, crop, crop) float32, normalised. `width` and `height` are those of the upright
    original; `crop` is the box x0, y0, x1, y1 in its pixels that `pixels` shows.
    """

    pixels: torch.Tensor
    width: int
    height: int
    crop: tuple[float, float, float, float]


def load_image(uri: str, preprocess: Preprocess) -> LoadedImage:
    """Reads an image and prepares it exactly as torchvision's Resize, CenterCrop, Normalize do."""
    image = read_image(uri)
    width, height = image.size
    resized = _resized_size(width, height, preprocess.resize)
    left, top = (round((side - preprocess.crop) / 2) for side in resized)
    right, bottom = left + preprocess.crop, top + preprocess.crop
    x, y = width / resized[0], height / resized[1]
    image = image.resize(resized, INTERPOLATIONS[preprocess.interpolation])
    return LoadedImage(
        pixels=_normalise(image.crop((left, top, right, bottom)), preprocess),
        width=width,
        height=height,
        crop=(left * x, top * y, right * x, bottom * y),
    )


def _resized_size(width: int, height: int, shorter: int) -> tuple[int, int]:
    longer = int(shorter * max(width, height) / min(width, height))
    if longer * shorter > MAX_RESIZED_PIXELS:
        raise ImageError(
            "decode",
            f"{width} x {height} pixels is too thin a strip: resized, it would be"
            f" {longer} x {shorter} pixels; crop it",
        )
    return (shorter, longer) if width <= height else (longer, shorter)


def _normalise(image: Image.Image, preprocess: Preprocess) -> torch.Tensor:
    pixels_HWC = torch.from_numpy(np.array(image))
    pixels = pixels_HWC.permute(2, 0, 1).contiguous().to(torch.float32).div_(255)
    mean, std = (torch.tensor(three)[:, None, None] for three in (preprocess.mean, preprocess.std))
    return pixels.sub_(mean).div_(std)
