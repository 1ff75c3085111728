"""The preprocessing of an image processor of transformers, which is called as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.classifiers.seen import Array, seen_box
from pipeline.errors import ImageError, RequestError, describe
from pipeline.images import Box, Preprocess, Shown, by, parse_fields

PROBES = ((160, 120), (97, 203))  # width and height of images on which a processor is tried
COLOURS = np.eye(3, dtype=np.uint8) * 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Processed(Preprocess):
    """What an image processor does.

    processor  of transformers
    settings   its own, without those that are None, as JSON
    made       mean and std that it has given to its pixels
    order      the channels that show red, green and blue; None where it mixes them
    boxes      what of an image it shows, by width and height; found when first asked for
    """

    processor: Any = field(compare=False, repr=False)
    settings: str
    made: tuple[tuple[float, ...], tuple[float, ...]]
    order: tuple[int, ...] | None = None
    boxes: dict[tuple[int, int], Box] = field(default_factory=dict, compare=False, repr=False)

    def shown(self, image: Image.Image) -> Shown:
        """ImageError where it is not made the input's size, or the part seen is no rectangle."""
        rgb = self._levels(image)
        if tuple(rgb.shape) != self.shape:
            raise ImageError(
                "decode",
                f"{type(self.processor).__name__} makes {tuple(rgb.shape)} of it (channels, "
                f"height, width), expected {self.shape}",
            )
        return Shown(rgb, self.box(*image.size))

    def box(self, width: int, height: int) -> Box:
        """What is seen of an image: x0, y0, x1, y1 in its pixels."""
        size = width, height
        if size not in self.boxes:
            self.boxes[size] = seen_box(self._array, self.order, width, height)
        return self.boxes[size]

    @property
    def look(self) -> tuple[Any, ...]:
        """See `Preprocess.look`."""
        return self.settings, self.channels

    def facts(self) -> dict[str, Any]:
        """See `Preprocess.facts`."""
        own = {name: getattr(self, name) for name in ("crop", "mean", "std", "channels")}
        return {"processor": json.loads(self.settings), **own}

    def in_words(self) -> str:
        """What happens to an image."""
        width, height = PROBES[0]
        x0, y0, x1, y1 = map(round, self.box(width, height))
        return (
            f"{by(self.size)} by {type(self.processor).__name__}, which shows columns {x0} to "
            f"{x1} and rows {y0} to {y1} of an image {width} wide and {height} high"
        )

    def override(self, text: str) -> Preprocess:
        """With another mean or std alone the processor stays; any other field takes its place.

        What is not given of it is then: both sides resized to the size of the input.
        """
        given = parse_fields(text)
        changed = {k: v for k, v in given.items() if v != getattr(self, k)}
        if changed.keys() <= {"mean", "std"}:
            return replace(self, **changed)
        own = {k: getattr(self, k) for k in ("resize", "crop", "mean", "std", "channels")}
        return Preprocess(**own, fit="squash", interpolation=self.interpolation).override(text)

    def _levels(self, image: Image.Image) -> Tensor:
        """What it makes of an image, (C, h, w), as levels 0 to 255 again."""
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in self.made)
        given = image.convert("L") if self.channels == "grey" else image
        return (_pixels(self.processor, given) * std + mean) * 255

    def _array(self, image: Image.Image) -> Array:
        found: Array = self._levels(image).double().numpy()
        return found


def preprocess_of(spec: str, processor: Any, channels: int = 3) -> Processed:
    """How an image processor is called; RequestError where masks could not be mapped back.

    channels  of the images that the model takes
    """
    mode = "L" if channels == 1 else "RGB"
    black, white = (_pixels(processor, Image.new(mode, PROBES[0], name)) for name in _ENDS)
    shape = tuple(black.shape)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise RequestError(
            f"--model {spec}: its image processor makes {shape} of an image; expected (channels, "
            "height, width) with one channel or three"
        )
    centre = shape[1] // 2, shape[2] // 2
    low, high = (pixels[:, *centre].double() for pixels in (black, white))
    if not (high > low).all():
        raise RequestError(
            f"--model {spec}: its image processor shows white no brighter than black"
        )
    std = 1 / (high - low)
    made = tuple(tuple(map(_rounded, numbers.tolist())) for numbers in (-low * std, std))
    found = Processed(
        resize=(shape[1], shape[2]),
        crop=(shape[1], shape[2]),
        mean=made[0],
        std=made[1],
        interpolation=_interpolation(processor),
        channels="grey" if shape[0] == 1 else "rgb",
        processor=processor,
        settings=_settings(processor),
        made=(made[0], made[1]),
    )
    found = _ordered(found, _order(found, centre))
    for width, height in PROBES:
        try:
            found.shown(Image.new("RGB", (width, height)))
        except ImageError as error:
            raise RequestError(
                f"--model {spec}: of an image of {width} x {height} pixels, {error.reason}; "
                "expected an image processor that gives every image one size, of which each pixel "
                "shows a place in the original (`size` with height and width, a centre crop, "
                "padding)"
            ) from error
    return found


_ENDS = ("black", "white")


def fields_of(spec: str, **fields: Any) -> Preprocess:
    """Preprocess(**fields), whose errors name the model `spec`."""
    try:
        return Preprocess(**fields)
    except RequestError as error:
        raise RequestError(
            f"--model {spec}: {error}; wrap the model as --model python:MODULE:FACTORY"
        ) from error


def _pixels(processor: Any, image: Image.Image) -> Tensor:
    """What it makes of an image, (C, h, w) float32; ImageError where it fails."""
    try:
        return torch.as_tensor(processor(image, return_tensors="pt")["pixel_values"])[0].float()
    except Exception as error:  # processors have no common error
        raise ImageError(
            "decode", f"{type(processor).__name__} fails: {describe(error)}"
        ) from error


def _order(found: Processed, centre: tuple[int, int]) -> tuple[int, ...] | None:
    """The channels that show red, green and blue; None where they are mixed."""
    if found.channels == "grey":
        return None
    images = (Image.new("RGB", PROBES[0], tuple(colour.tolist())) for colour in COLOURS)
    shown = np.array([found._array(image)[:, *centre] for image in images])
    order = shown.argmax(1)
    pure = np.allclose(shown, COLOURS[order], atol=1)
    return tuple(order.tolist()) if pure and len(set(order)) == 3 else None


def _ordered(found: Processed, order: tuple[int, ...] | None) -> Processed:
    """Its mean and std are of red, green and blue, in whatever order the channels come."""
    if order != (2, 1, 0):
        return replace(found, order=order)
    mean, std = found.mean[::-1], found.std[::-1]
    return replace(found, order=order, channels="bgr", mean=mean, std=std)


def _settings(processor: Any) -> str:
    given = json.loads(processor.to_json_string())
    return json.dumps({k: v for k, v in sorted(given.items()) if v is not None})


def _interpolation(processor: Any) -> str:
    """By its setting `resample`, for the case that our own fields take its place."""
    resample = getattr(processor, "resample", None)
    return "bilinear" if resample is None else Image.Resampling(int(resample)).name.lower()


def _rounded(number: float) -> float:
    """As it is written in settings: the processor computes in float32."""
    return float(f"{number:.6g}") if abs(number) > 1e-6 else 0.0
