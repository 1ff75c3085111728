"""Preprocessing: how a classifier wants its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import RequestError
from pipeline.images.fitting import Box, Fit, Size, fitted

INTERPOLATIONS = {
    resampling.name.lower(): resampling
    for resampling in (
        Image.Resampling.BILINEAR,
        Image.Resampling.BICUBIC,
        Image.Resampling.NEAREST,
        Image.Resampling.LANCZOS,
        Image.Resampling.HAMMING,
        Image.Resampling.BOX,
    )
}
Channels = Literal["rgb", "bgr", "grey"]
SINCE_THE_FIRST = ("resize", "crop", "mean", "std", "interpolation")  # in every fingerprint
EXAMPLES = {"resize": "256, or HEIGHT:WIDTH as in 256:192", "mean": "0.5:0.5:0.5", "fill": "0:0:0"}
EXAMPLES |= {"crop": EXAMPLES["resize"], "std": EXAMPLES["mean"]}


class Shown(NamedTuple):
    """An image as a classifier is shown it.

    rgb  (C, H, W) in 0..255, in the classifier's channels: uint8, or float32
    box  x0, y0, x1, y1 in the image's pixels that are seen; beyond it where it is padded
    """

    rgb: Tensor
    box: Box


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """How a classifier wants its input.

    resize, crop   pixels of a square, or (height, width)
    fit            crop: resized so that it covers `resize` (of a square: the shorter side), then
                   `crop` cut from the centre; squash: both sides resized, then cut; pad: resized so
                   that it fits into `resize`, then padded (or cut) to `crop`
    fill           of the padding, R, G, B in 0..255; None: the mean
    channels       their order, or grey: one channel, as Pillow makes it
    mean, std      of values in [0, 1], in the order R, G, B: the input is (value - mean) / std
    RequestError for bad values.
    """

    resize: int | Size = 256
    crop: int | Size = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    fit: Fit = "crop"
    fill: tuple[int, ...] | None = None
    channels: Channels = "rgb"

    def __post_init__(self) -> None:
        for name in ("resize", "crop"):  # a square is one number, as in fingerprints
            height, width = pair(getattr(self, name))
            object.__setattr__(self, name, height if height == width else (height, width))
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise RequestError(
                    f"preprocess: {name}={getattr(self, name)}; expected {', '.join(known)}"
                )
        self._check_sizes()
        for name in ("mean", "std", "fill"):
            self._check_numbers(name, getattr(self, name))
        if min(self.std) <= 0:
            raise RequestError(f"preprocess: std={self.std}; expected numbers above 0")

    def _check_sizes(self) -> None:
        both = (pair(self.crop), pair(self.resize))
        fits = self.fit == "pad" or all(c <= r for c, r in zip(*both, strict=True))
        if not fits or min(map(min, both)) < 1:
            raise RequestError(
                f"preprocess: crop={_said(self.crop)} with resize={_said(self.resize)};"
                f" expected 1 <= crop{' <= resize' if self.fit != 'pad' else ', 1 <= resize'}"
            )

    def _check_numbers(self, name: str, numbers: tuple[float, ...] | None) -> None:
        count = self.shape[0]
        if numbers is None:
            return
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise RequestError(
                f"preprocess: {name}={numbers}; expected {count} finite number{'s' * (count > 1)}"
            )
        if name == "fill" and not all(0 <= n <= 255 for n in numbers):
            raise RequestError(f"preprocess: fill={numbers}; expected levels from 0 to 255")

    @property
    def size(self) -> Size:
        """Height and width of the input, in pixels."""
        return pair(self.crop)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the input."""
        return (1 if self.channels == "grey" else 3, *self.size)

    @property
    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation in the order of the input's channels."""
        turn = -1 if self.channels == "bgr" else 1
        return self.mean[::turn], self.std[::turn]

    @property
    def colour(self) -> tuple[int, ...]:
        """Of the padding."""
        return self.fill or tuple(min(255, max(0, round(255 * m))) for m in self.mean)

    def shown(self, image: Image.Image) -> Shown:
        """An upright RGB image as the classifier is shown it; ImageError for an extreme strip."""
        if self.channels == "grey":
            image = image.convert("L")
        resampling = INTERPOLATIONS[self.interpolation]
        image, box = fitted(image, pair(self.resize), self.size, self.fit, resampling, self.colour)
        rgb = torch.from_numpy(np.array(image)).reshape(*self.size, -1).permute(2, 0, 1)
        return Shown((rgb.flip(0) if self.channels == "bgr" else rgb).contiguous(), box)

    @property
    def look(self) -> tuple[Any, ...]:
        """What decides `shown`: where it is equal, an image need not be prepared twice."""
        colour = self.colour if self.fit == "pad" else None
        return self.resize, self.crop, self.interpolation, self.fit, self.channels, colour

    def facts(self) -> dict[str, Any]:
        """All of it as plain data, for fingerprints: what was added later only where it is used."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(Preprocess)
            if field.name in SINCE_THE_FIRST or getattr(self, field.name) != field.default
        }

    def in_words(self) -> str:
        """What happens to an image."""
        mean, std = (", ".join(f"{x:.3g}" for x in numbers) for numbers in (self.mean, self.std))
        colour = {"rgb": "RGB", "bgr": "BGR", "grey": "grey, one channel"}[self.channels]
        return f"{colour}, {self._fit_in_words()}, minus mean ({mean}), over std ({std})"

    def _fit_in_words(self) -> str:
        resize, crop = by(self.resize), by(self.crop)
        if self.fit == "pad":
            colour = ", ".join(map(str, self.colour))
            text = f"resized to fit into {resize} ({self.interpolation})"
            return f"{text}, padded to {crop} around it with ({colour})"
        if self.fit == "squash":
            text = f"both sides resized to {resize} ({self.interpolation})"
            return text if pair(self.resize) == self.size else f"{text}, {crop} cut from the centre"
        square = isinstance(self.resize, int)
        text = f"shorter side resized to {self.resize}" if square else f"resized to cover {resize}"
        return f"{text} ({self.interpolation}), {crop} cut from the centre"

    def override(self, text: str) -> Preprocess:
        """A copy with single fields replaced, as in `resize=256,crop=224:192,mean=0.5:0.5:0.5`.

        Between grey and colour, mean and std that are not given become their mean, or are repeated.
        """
        return replace(self, **self._with_scale(parse_fields(text)))

    def _with_scale(self, given: dict[str, Any]) -> dict[str, Any]:
        was, count = self.shape[0], 1 if given.get("channels", self.channels) == "grey" else 3
        if was == count:
            return given
        kept = {name: getattr(self, name) for name in ("mean", "std")}
        mean = {k: (round(sum(v) / was, 6),) * count for k, v in kept.items()}
        return mean | {"fill": None} | given


def pair(size: int | Sequence[int]) -> Size:
    """Height and width."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def by(size: int | Sequence[int]) -> str:
    """`224 x 224`; where the sides differ, which is which."""
    height, width = pair(size)
    return f"{height} x {width}" + " (height x width)" * (height != width)


def parse_fields(text: str) -> dict[str, Any]:
    """Fields as they are given on a command line; RequestError for unknown names and bad values."""
    given: dict[str, Any] = {}
    for part in text.split(",") if text.strip() else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise RequestError(f"preprocess: {part!r}; expected FIELD=VALUE, as in crop=224")
        if name in given:
            raise RequestError(f"preprocess: {name} is given twice")
        given[name] = _parse_field(name, value)
    return given


def _parse_field(name: str, text: str) -> Any:
    known = [field.name for field in fields(Preprocess)]
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"; the nearest is {close[0]}" if close else ""
        raise RequestError(f"preprocess: no field {name!r}; known: {', '.join(known)}{hint}")
    if name in CHOICES:
        return text
    try:
        if name in ("resize", "crop"):
            return _parse_size(text)
        return tuple(map(int if name == "fill" else float, text.split(":")))
    except ValueError:
        kind = "whole numbers of pixels" if name in ("resize", "crop") else "numbers"
        wanted = f"{kind}, as in {EXAMPLES[name]}"
        raise RequestError(f"preprocess: {name}={text}; expected {wanted}") from None


def _parse_size(text: str) -> int | Size:
    height, colon, width = text.partition(":")
    if not colon or int(height) == int(width):
        return int(height)
    return int(height), int(width)


def _said(size: int | Size) -> str:
    return str(size) if isinstance(size, int) else ":".join(map(str, size))


CHOICES: dict[str, tuple[str, ...]] = {
    "interpolation": tuple(INTERPOLATIONS),
    "fit": get_args(Fit),
    "channels": get_args(Channels),
}
