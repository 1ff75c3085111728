"""Preprocessing: how a classifier wants its input."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from PIL import Image

from pipeline.errors import RequestError

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """How a classifier wants its input.

    The shorter side is resized to `resize` pixels, a square of `crop` <= `resize` pixels is cut
    from the centre, and RGB in [0, 1] becomes (RGB - mean) / std. RequestError for bad values.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise RequestError(
                f"preprocess: crop={self.crop} with resize={self.resize};"
                " expected 1 <= crop <= resize"
            )
        for name, three in (("mean", self.mean), ("std", self.std)):
            if len(three) != 3 or not all(map(math.isfinite, three)):
                raise RequestError(f"preprocess: {name}={three}; expected 3 finite numbers")
        if min(self.std) <= 0:
            raise RequestError(f"preprocess: std={self.std}; expected numbers above 0")
        if self.interpolation not in INTERPOLATIONS:
            raise RequestError(
                f"preprocess: interpolation={self.interpolation};"
                f" expected {', '.join(INTERPOLATIONS)}"
            )

    def in_words(self) -> str:
        """What happens to an image."""
        mean, std = (", ".join(f"{x:.3g}" for x in three) for three in (self.mean, self.std))
        return (
            f"RGB, shorter side resized to {self.resize} ({self.interpolation}), {self.crop} x "
            f"{self.crop} cut from the centre, minus mean ({mean}), over std ({std})"
        )

    def override(self, fields: str) -> Preprocess:
        """A copy with single fields replaced, as in `resize=224,crop=224,mean=0.5:0.5:0.5`."""
        given: dict[str, Any] = {}
        for part in fields.split(",") if fields.strip() else ():
            name, equals, text = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise RequestError(f"preprocess: {part!r}; expected FIELD=VALUE, as in crop=224")
            if name in given:
                raise RequestError(f"preprocess: {name} is given twice")
            given[name] = _parse_field(name, text)
        return replace(self, **given)


def _parse_field(name: str, text: str) -> Any:
    known = [field.name for field in fields(Preprocess)]
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"; the nearest is {close[0]}" if close else ""
        raise RequestError(f"preprocess: no field {name!r}; known: {', '.join(known)}{hint}")
    if name == "interpolation":
        return text
    pixels = name in ("resize", "crop")
    try:
        return int(text) if pixels else tuple(map(float, text.split(":")))
    except ValueError:
        wanted = "a whole number of pixels" if pixels else "three numbers as in 0.5:0.5:0.5"
        raise RequestError(f"preprocess: {name}={text}; expected {wanted}") from None
