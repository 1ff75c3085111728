"""Images as a classifier sees them: resized, cropped and normalised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import ImageError
from pipeline.images.decoding import decode_image, image_bytes
from pipeline.images.preprocess import INTERPOLATIONS, Preprocess
from pipeline.images.reading import MAX_IMAGE_BYTES

MAX_RESIZED_PIXELS = 64_000_000  # beyond it, a thin strip would fill the memory when resized


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image as the classifier sees it.

    `rgb` is (3, crop, crop), not yet normalised: uint8, or floats in
    0..255 where they come from no file. `width` and `height` are those of the
    upright original; `crop` is the box x0, y0, x1, y1 in its pixels that `rgb` shows. `bytes` and
    `digest` (see `digest_of`) are of the file.
    """

    rgb: Tensor
    preprocess: Preprocess
    width: int
    height: int
    crop: tuple[float, float, float, float]
    bytes: int
    digest: str

    @property
    def pixels(self) -> Tensor:
        """(3, crop, crop) float32, normalised."""
        return normalise(self.rgb, self.preprocess)


def load_image(uri: str, preprocess: Preprocess, max_bytes: int = MAX_IMAGE_BYTES) -> LoadedImage:
    """Reads an image and prepares it exactly as torchvision's Resize, CenterCrop, Normalize do."""
    data = image_bytes(uri, max_bytes)
    return prepared(decode_image(data), preprocess, data)


def prepared(image: Image.Image, preprocess: Preprocess, data: bytes = b"") -> LoadedImage:
    """An upright RGB image as the classifier sees it; `data` is its file's content."""
    width, height = image.size
    resized = _resized_size(width, height, preprocess.resize)
    left, top = (round((side - preprocess.crop) / 2) for side in resized)
    right, bottom = left + preprocess.crop, top + preprocess.crop
    x, y = width / resized[0], height / resized[1]
    image = image.resize(resized, INTERPOLATIONS[preprocess.interpolation])
    return LoadedImage(
        rgb=_planes(image.crop((left, top, right, bottom))),
        preprocess=preprocess,
        width=width,
        height=height,
        crop=(left * x, top * y, right * x, bottom * y),
        bytes=len(data),
        digest=digest_of(data),
    )


def digest_of(data: bytes) -> str:
    """What tells one file's content from another's: 32 hexadecimal digits (blake2b)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def normalise(rgb: Tensor, preprocess: Preprocess) -> Tensor:
    """RGB in 0..255, (..., 3, H, W), as the classifier wants it: float32, on the same device."""
    mean, std = (
        torch.tensor(three, device=rgb.device)[:, None, None]
        for three in (preprocess.mean, preprocess.std)
    )
    return rgb.to(torch.float32, copy=True).div_(255).sub_(mean).div_(std)


def _resized_size(width: int, height: int, shorter: int) -> tuple[int, int]:
    longer = int(shorter * max(width, height) / min(width, height))
    if longer * shorter > MAX_RESIZED_PIXELS:
        raise ImageError(
            "decode",
            f"{width} x {height} pixels is too thin a strip: resized, it would be"
            f" {longer} x {shorter} pixels; crop it",
        )
    return (shorter, longer) if width <= height else (longer, shorter)


def _planes(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
