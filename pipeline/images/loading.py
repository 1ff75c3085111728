"""Images as a classifier sees them: resized, cropped and normalised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from pipeline.images.decoding import decode_image, image_bytes
from pipeline.images.fitting import Box
from pipeline.images.preprocess import Preprocess
from pipeline.images.reading import MAX_IMAGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image as the classifier sees it.

    `rgb` is (C, H, W) in the classifier's channels, not yet normalised: uint8, or floats in 0..255
    where an image processor or the caller has made them. `width` and `height` are those of the
    upright original; `crop` is the box x0, y0, x1, y1 in its pixels that `rgb` shows, beyond it
    where it is padded. `bytes` and `digest` (see `digest_of`) are of the file.
    """

    rgb: Tensor
    preprocess: Preprocess
    width: int
    height: int
    crop: Box
    bytes: int
    digest: str

    @property
    def pixels(self) -> Tensor:
        """(C, H, W) float32, normalised."""
        return normalise(self.rgb, self.preprocess)


def load_image(uri: str, preprocess: Preprocess, max_bytes: int = MAX_IMAGE_BYTES) -> LoadedImage:
    """Reads an image and prepares it as the classifier's own library does, to the last bit."""
    return decoded(image_bytes(uri, max_bytes), preprocess)


def decoded(data: bytes, preprocess: Preprocess) -> LoadedImage:
    """Like `load_image`, of a file's content."""
    return prepared(decode_image(data), preprocess, data)


def prepared(image: Image.Image, preprocess: Preprocess, data: bytes = b"") -> LoadedImage:
    """An upright RGB image as the classifier sees it; `data` is its file's content."""
    rgb, box = preprocess.shown(image)
    return LoadedImage(
        rgb=rgb,
        preprocess=preprocess,
        width=image.width,
        height=image.height,
        crop=box,
        bytes=len(data),
        digest=digest_of(data),
    )


def digest_of(data: bytes) -> str:
    """What tells one file's content from another's: 32 hexadecimal digits (blake2b)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def normalise(rgb: Tensor, preprocess: Preprocess) -> Tensor:
    """`rgb` of loaded images, (..., C, H, W), as the classifier wants it: float32, same device."""
    mean, std = (
        torch.tensor(numbers, device=rgb.device)[:, None, None] for numbers in preprocess.scale
    )
    return rgb.to(torch.float32, copy=True).div_(255).sub_(mean).div_(std)
