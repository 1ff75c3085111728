"""Pictures of masks: the image inside the mask, something plainer outside, the mask's contour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

MaskArray = np.ndarray[Any, np.dtype[np.uint8]]
Style = Literal["outline", "dim", "blur", "heat"]

STYLES: tuple[Style, ...] = get_args(Style)
COLOURS = ((255, 140, 0), (0, 170, 255), (120, 220, 60), (230, 80, 200))  # of rounds 0, 1, ...
BLUR = 0.05  # standard deviation, of the shorter side: the weaker blur that classifiers are shown
HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))  # as `inferno`


def overlay(
    image: Image.Image,
    mask_HW: MaskArray,
    *,
    style: Style = "dim",
    round_: int = 0,
    boxes: Sequence[tuple[float, ...]] = (),
) -> Image.Image:
    """The RGB image with a mask shown in one of the STYLES.

    outline  the whole image and a line where the mask is .5
    dim      grey and dark where the mask is 0, and the line
    blur     blurred where the mask is 0, which is about what the classifier was shown
    heat     colours from black (0) to yellow (1) over the grey image
    mask_HW  uint8 of the image's size, 255 = keep
    boxes    ground truth as x0, y0, x1, y1 in the image's pixels, drawn in white
    """
    drawn = _STYLES[style](image, mask_HW, COLOURS[round_ % len(COLOURS)])
    draw = ImageDraw.Draw(drawn)
    for x0, y0, x1, y1 in boxes:
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=(255, 255, 255))
    return drawn


def _outline(image: Image.Image, mask_HW: MaskArray, colour: tuple[int, ...]) -> Image.Image:
    """Wide and with a dark rim, since it has to be seen on a whole photograph."""
    width = max(3, min(image.size) // 90)
    return _line(_line(image, mask_HW, width + 2, (0, 0, 0)), mask_HW, width, colour)


def _line(
    image: Image.Image, mask_HW: MaskArray, width: int, colour: tuple[int, ...]
) -> Image.Image:
    """A line of odd `width` around the mask."""
    hard = Image.fromarray(np.where(mask_HW > 127, 255, 0).astype(np.uint8))
    line = np.array(hard.filter(ImageFilter.MaxFilter(width // 2 * 2 + 3))) != np.array(hard)
    pixels = np.array(image)
    pixels[line] = colour
    return Image.fromarray(pixels)


def _dim(image: Image.Image, mask_HW: MaskArray, colour: tuple[int, ...]) -> Image.Image:
    grey = image.convert("L").point([int(40 + 0.35 * value) for value in range(256)])
    shown = Image.composite(image, grey.convert("RGB"), Image.fromarray(mask_HW))
    return _line(shown, mask_HW, 3 if min(image.size) >= 200 else 1, colour)


def _blur(image: Image.Image, mask_HW: MaskArray, colour: tuple[int, ...]) -> Image.Image:
    blurred = image.filter(ImageFilter.GaussianBlur(BLUR * min(image.size)))
    return Image.composite(image, blurred, Image.fromarray(mask_HW))


def _heat(image: Image.Image, mask_HW: MaskArray, colour: tuple[int, ...]) -> Image.Image:
    places = np.linspace(0, 255, len(HEAT))
    table = np.stack([np.interp(range(256), places, channel) for channel in np.transpose(HEAT)], -1)
    heat = Image.fromarray(table.astype(np.uint8)[mask_HW])
    return Image.blend(image.convert("L").convert("RGB"), heat, 0.6)


_STYLES: dict[str, Callable[[Image.Image, MaskArray, tuple[int, ...]], Image.Image]] = {
    "outline": _outline,
    "dim": _dim,
    "blur": _blur,
    "heat": _heat,
}
