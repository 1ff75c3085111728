"""What of an image an image processor shows, seen on generated images of the same size.

Their levels rise from left to right and from top to bottom, and so say which place of the original
has come where. Shapes: H, W of the image, h, w of what the processor makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images import Box

Array = NDArray[np.float64]
Levels = Callable[[Image.Image], Array]  # image -> (C, h, w) in 0..255, as the processor has them
LOW, RISE = 16, 207  # levels at the first edge, and on the way to the last one
TILT = 16  # levels that the other axis adds, so that the mean of rounded levels is right
EDGE = 0.1  # of what is seen, at either end: there, resizing repeats pixels
OFF = 2.5  # levels, or pixels of the original: how far a place may lie off a straight line


def seen_box(levels: Levels, order: Sequence[int] | None, width: int, height: int) -> Box:
    """x0, y0, x1, y1 in the original's pixels; beyond it where the processor pads.

    order  the channels that show red, green and blue; None where they are mixed
    ImageError where no rectangle of the image is shown, only scaled.
    """
    right, down = (np.arange(length) + 0.5 for length in (width, height))
    right, down = right[None, :] / width, down[:, None] / height
    planes = [LOW + RISE * right + TILT * down, LOW + TILT * right + RISE * down]
    whole = np.full((height, width), 255, np.uint8)
    one, two, there = _levels(levels, order, [*(p.round().astype(np.uint8) for p in planes), whole])
    inside = _inside(there)
    one, two = one - LOW, two - LOW
    x, y = (p / (RISE**2 - TILT**2) for p in (RISE * one - TILT * two, RISE * two - TILT * one))
    x0, x1 = _ends(x * width, inside, width)
    y0, y1 = _ends(y.T * height, inside.T, height)
    return x0, y0, x1, y1


def _levels(
    levels: Levels, order: Sequence[int] | None, planes: Sequence[NDArray[np.uint8]]
) -> list[Array]:
    """Of three planes, each (H, W): what becomes of them, (h, w), 127.5 where they are not shown.

    Each is shown as it is and inverted, which lets roundings cancel out.
    """

    def shown(planes: Sequence[NDArray[np.uint8]]) -> list[Array]:
        if order is not None:
            found = levels(Image.fromarray(np.stack(planes, -1)))
            return [found[channel] for channel in order]
        return [levels(Image.fromarray(np.stack([plane] * 3, -1)))[0] for plane in planes]

    inverted = shown([255 - plane for plane in planes])
    return [(255 + a - b) / 2 for a, b in zip(shown(planes), inverted, strict=True)]


def _inside(there_hw: Array) -> NDArray[np.bool_]:
    """Pixels that show the original; ImageError if they are no rectangle."""
    inside: NDArray[np.bool_] = there_hw > 0.75 * 255
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.zeros_like(inside)
    if len(rows):
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    if not len(rows) or (box != inside).any():
        raise ImageError("decode", "what the image processor shows is no rectangle of the image")
    return inside


def _ends(places_hw: Array, inside_hw: NDArray[np.bool_], length: int) -> tuple[float, float]:
    """Where columns lie along an axis of the original: the first one's edge, the last one's."""
    columns = np.flatnonzero(inside_hw.any(0))
    if length == 1:  # nothing rises
        return -columns[0] / len(columns), (places_hw.shape[1] - columns[0]) / len(columns)
    margin = int(EDGE * len(columns))
    columns = columns[margin : len(columns) - margin]
    places = places_hw[inside_hw.any(1)][:, columns]
    slope, start = np.polyfit(columns + 0.5, places.mean(0), 1) if len(columns) > 1 else (0, 0)
    off = np.abs(places - start - slope * (columns + 0.5)).max()
    if slope <= 0 or off > OFF * max(1, length / RISE):
        raise ImageError(
            "decode", "what the image processor shows does not lie as in the image, only scaled"
        )
    return float(start), float(start + slope * places_hw.shape[1])
