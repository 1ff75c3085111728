"""How an image is brought to the size of a classifier's input, and what of it is seen there.

Sizes are (height, width) in pixels. As torchvision's and timm's transforms do it, to the last bit.
"""

from __future__ import annotations

from typing import Literal

from PIL import Image

from pipeline.errors import ImageError

MAX_RESIZED_PIXELS = 64_000_000  # beyond it, a thin strip would fill the memory when resized

Size = tuple[int, int]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1
Fit = Literal["crop", "squash", "pad"]


def resized_size(size: Size, resize: Size, fit: Fit) -> Size:
    """What an image of this size is resized to; ImageError where that would be too large."""
    height, width = size
    if fit == "squash":
        return resize
    if fit == "crop" and resize[0] == resize[1]:
        longer = int(resize[0] * max(size) / min(size))  # torchvision rounds down, timm does not
        found = (longer, resize[0]) if width <= height else (resize[0], longer)
    else:
        ratios = height / resize[0], width / resize[1]
        ratio = max(ratios) if fit == "pad" else min(ratios)
        found = max(1, round(height / ratio)), max(1, round(width / ratio))
    if found[0] * found[1] > MAX_RESIZED_PIXELS:
        raise ImageError(
            "decode",
            f"{width} x {height} pixels is too thin a strip: resized, it would be"
            f" {found[1]} x {found[0]} pixels; crop it",
        )
    return found


def fitted(
    image: Image.Image,
    resize: Size,
    crop: Size,
    fit: Fit,
    resampling: Image.Resampling,
    fill: tuple[int, ...],
) -> tuple[Image.Image, Box]:
    """The image at the size `crop`, and the box in its own pixels that is seen there.

    fill  of what lies beyond the image, a value for each of its channels
    """
    size = image.height, image.width
    resized = resized_size(size, resize, fit)
    top, left = (_start(a, b) for a, b in zip(resized, crop, strict=True))
    bottom, right = top + crop[0], left + crop[1]
    y, x = size[0] / resized[0], size[1] / resized[1]
    image = image.resize(resized[::-1], resampling)
    if top < 0 or left < 0:
        canvas = Image.new(image.mode, (crop[1], crop[0]), fill if len(fill) > 1 else fill[0])
        canvas.paste(image, (-left, -top))
    else:
        canvas = image.crop((left, top, right, bottom))
    return canvas, (left * x, top * y, right * x, bottom * y)


def _start(length: int, wanted: int) -> int:
    """Where the middle part of an axis begins; below 0 where it is longer than the axis."""
    return round((length - wanted) / 2) if length >= wanted else -((wanted - length) // 2)
