"""An image as people have it in a notebook: a path, a PIL image, an array, a tensor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import ImageError, RequestError
from pipeline.images import LoadedImage, Preprocess, prepared, read_image, upright_rgb
from pipeline.members import name_in
from pipeline.paths import redacted

AnyImage = str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor


@dataclass(frozen=True, slots=True)
class GivenImage:
    """An image to explain.

    upright  RGB, to be prepared for the classifier and drawn on; None for an `input`
    input    (C, H, W), normalised: what the classifier is to see as it is
    """

    name: str
    upright: Image.Image | None
    input: Tensor | None = None

    @classmethod
    def of(cls, image: AnyImage) -> GivenImage:
        """RequestError for what is no image.

        Tensors of whole numbers (3, H, W) are images of 0 to 255; those of floats (C, H, W) or
        (1, C, H, W) are inputs of the classifier, with one channel or three. Arrays are (H, W) or
        (H, W, 3) uint8.
        """
        if isinstance(image, Tensor) and image.is_floating_point():
            return cls("image", None, _input(image))
        try:
            if isinstance(image, str | os.PathLike):
                path = os.fspath(image)
                return cls(name_in(redacted(path)), read_image(path))
            return cls("image", upright_rgb(_picture(image)))
        except ImageError as error:
            what = image if isinstance(image, str | os.PathLike) else "the image"
            raise RequestError(f"{what}: {error.reason}") from error

    def changes(self) -> str:
        """Fields of the preprocessing that an input decides."""
        if self.input is None:
            return ""
        channels, height, width = self.input.shape
        size = f"{height}:{width}"
        return f"resize={size},crop={size}" + ",channels=grey" * (channels == 1)

    def loaded(self, preprocess: Preprocess) -> LoadedImage:
        """As the classifier sees it."""
        if self.upright is not None:
            return prepared(self.upright, preprocess)
        assert self.input is not None
        _, height, width = self.input.shape
        return LoadedImage(
            rgb=self._rgb(preprocess),
            preprocess=preprocess,
            width=width,
            height=height,
            crop=(0, 0, width, height),
            bytes=0,
            digest="",
        )

    def picture(self, preprocess: Preprocess) -> Image.Image:
        """What masks are drawn on: the image, or the input with its normalisation undone."""
        if self.upright is not None:
            return self.upright
        pixels = self._rgb(preprocess).clamp(0, 255).round().byte().expand(3, -1, -1)
        rgb = pixels.flip(0) if preprocess.channels == "bgr" else pixels
        return Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy())

    def _rgb(self, preprocess: Preprocess) -> Tensor:
        """The input with its normalisation undone, in 0..255."""
        assert self.input is not None
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in preprocess.scale)
        return (self.input * std + mean) * 255


def _input(image: Tensor) -> Tensor:
    one = image[0] if image.ndim == 4 and len(image) == 1 else image
    if one.ndim != 3 or len(one) not in (1, 3):
        raise RequestError(
            f"a tensor of floats with shape {tuple(image.shape)}: expected an input of the "
            "classifier, normalised, (C, H, W) or (1, C, H, W), C 1 or 3; of several give one "
            "at a time"
        )
    return one.detach().float().cpu()


def _picture(image: Image.Image | np.ndarray[Any, Any] | Tensor) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, Tensor):
        pixels = image.cpu().numpy().transpose(1, 2, 0) if image.ndim == 3 else image.cpu().numpy()
    else:
        pixels = image
    if pixels.dtype != np.uint8 or not (
        pixels.ndim == 2 or pixels.ndim == 3 and pixels.shape[2] == 3
    ):
        raise RequestError(
            f"an image of shape {tuple(image.shape)} and type {image.dtype}: expected uint8, as a "
            "tensor (3, H, W) or an array (H, W, 3); or floats as a tensor (C, H, W)"
        )
    return Image.fromarray(pixels)
