"""Pictures of masks: the image inside the mask, dimmed outside, with the mask's contour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

MaskArray = np.ndarray[Any, np.dtype[np.uint8]]

COLOURS = ((255, 140, 0), (0, 170, 255), (120, 220, 60), (230, 80, 200))  # of rounds 0, 1, ...
TEXT, PAPER = (30, 30, 30), (255, 255, 255)
GAP, LINE = 6, 18  # pixels between tiles, and of a line of text


def overlay(
    image: Image.Image,
    mask_HW: MaskArray,
    *,
    round_: int = 0,
    boxes: Sequence[tuple[float, ...]] = (),
) -> Image.Image:
    """The RGB image where the mask is 1, grey and dark where it is 0, a line at .5.

    mask_HW  uint8 of the image's size, 255 = keep
    boxes    ground truth as x0, y0, x1, y1 in the image's pixels, drawn in white
    """
    grey = image.convert("L").point([int(40 + 0.35 * value) for value in range(256)])
    shown = Image.composite(image, grey.convert("RGB"), Image.fromarray(mask_HW))
    hard = Image.fromarray(np.where(mask_HW > 127, 255, 0).astype(np.uint8))
    width = 3 if min(image.size) >= 200 else 1
    line = np.array(hard.filter(ImageFilter.MaxFilter(width + 2))) != np.array(hard)
    pixels = np.array(shown)
    pixels[line] = COLOURS[round_ % len(COLOURS)]
    drawn = Image.fromarray(pixels)
    draw = ImageDraw.Draw(drawn)
    for x0, y0, x1, y1 in boxes:
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=(255, 255, 255))
    return drawn


def sheet(
    rows: Sequence[Sequence[tuple[Image.Image, str]]], title: str, *, tile: int = 240
) -> Image.Image:
    """Tiles with captions under them, one row each, under a title."""
    font = ImageFont.load_default(13)
    small = [[(_fit(image, tile), caption) for image, caption in row] for row in rows]
    heights = [max(image.height for image, _ in row) + LINE + GAP for row in small]
    columns = max(len(row) for row in small)
    page = Image.new("RGB", (GAP + columns * (tile + GAP), LINE + 2 * GAP + sum(heights)), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((GAP, GAP), title, TEXT, font)
    top = LINE + 2 * GAP
    for row, height in zip(small, heights, strict=True):
        for column, (image, caption) in enumerate(row):
            left = GAP + column * (tile + GAP)
            page.paste(image, (left, top))
            draw.text((left, top + image.height + 1), caption, TEXT, font)
        top += height
    return page


def _fit(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
