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
from pipeline.paths import redacted

AnyImage = str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor


@dataclass(frozen=True, slots=True)
class GivenImage:
    """An image to explain.

    upright  RGB, to be prepared for the classifier and drawn on; None for an `input`
    input    (3, side, side), normalised: what the classifier is to see as it is
    """

    name: str
    upright: Image.Image | None
    input: Tensor | None = None

    @classmethod
    def of(cls, image: AnyImage) -> GivenImage:
        """RequestError for what is no image.

        Tensors of whole numbers (3, H, W) are images of 0 to 255; those of floats (3, S, S) or
        (1, 3, S, S) are inputs of the classifier. Arrays are (H, W) or (H, W, 3) uint8.
        """
        if isinstance(image, Tensor) and image.is_floating_point():
            return cls("image", None, _input(image))
        try:
            if isinstance(image, str | os.PathLike):
                path = os.fspath(image)
                return cls(os.path.basename(redacted(path)), read_image(path))
            return cls("image", upright_rgb(_picture(image)))
        except ImageError as error:
            what = image if isinstance(image, str | os.PathLike) else "the image"
            raise RequestError(f"{what}: {error.reason}") from error

    def changes(self) -> str:
        """Fields of the preprocessing that an input decides."""
        return (
            "" if self.input is None else f"resize={self.input.shape[1]},crop={self.input.shape[1]}"
        )

    def loaded(self, preprocess: Preprocess) -> LoadedImage:
        """As the classifier sees it."""
        if self.upright is not None:
            return prepared(self.upright, preprocess)
        assert self.input is not None
        side = self.input.shape[1]
        return LoadedImage(
            rgb=self._rgb(preprocess),
            preprocess=preprocess,
            width=side,
            height=side,
            crop=(0, 0, side, side),
            bytes=0,
            digest="",
        )

    def picture(self, preprocess: Preprocess) -> Image.Image:
        """What masks are drawn on: the image, or the input with its normalisation undone."""
        if self.upright is not None:
            return self.upright
        pixels = self._rgb(preprocess).clamp(0, 255)
        return Image.fromarray(pixels.round().byte().permute(1, 2, 0).numpy())

    def _rgb(self, preprocess: Preprocess) -> Tensor:
        """The input with its normalisation undone, in 0..255."""
        assert self.input is not None
        mean, std = (
            torch.tensor(three)[:, None, None] for three in (preprocess.mean, preprocess.std)
        )
        return (self.input * std + mean) * 255


def _input(image: Tensor) -> Tensor:
    one = image[0] if image.ndim == 4 and len(image) == 1 else image
    if one.ndim != 3 or len(one) != 3 or one.shape[1] != one.shape[2]:
        raise RequestError(
            f"a tensor of floats with shape {tuple(image.shape)}: expected an input of the "
            "classifier, normalised, (3, S, S) or (1, 3, S, S); of several give one at a time"
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
            "tensor (3, H, W) or an array (H, W, 3); or floats as a tensor (3, S, S)"
        )
    return Image.fromarray(pixels)
