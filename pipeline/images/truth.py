"""Ground truth: where the object is, in an image's own pixels and in the classifier's input.

A segmentation is an image file. In the manifest, `mask` is its path and `mask_value` the class of
the object in it; where `mask_value` is empty, every pixel that is not zero is the object.

| file | value of a pixel | never counted (neither object nor background) |
|---|---|---|
| palette PNG (PASCAL VOC) | the index, not the colour | 255 |
| grey, 1, 8 or 16 bits | the grey value | 255, where a `mask_value` is given |
| RGB (ImageNet-S) | R + 256 G | 1000, where a `mask_value` is given |

Without a `mask_value`, an RGB pixel is the object where any of R, G and B is not zero. What is
fully transparent counts as zero.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images.boxes import Box, parse_boxes
from pipeline.images.content import read_bytes
from pipeline.images.decoding import FORMATS

if TYPE_CHECKING:
    from pipeline.images.preprocess import Preprocess

BoolArray = NDArray[np.bool_]
VOID = 255  # of palette and grey images
VOID_RGB = 1000  # of ImageNet-S
_GREY = ("1", "L", "I;16", "I")


class Truth(NamedTuple):
    """Where the object is and which pixels do not count; (H, W) bool, disjoint."""

    object: BoolArray
    ignore: BoolArray


def read_truth(mask_path: str, mask_value: int | None = None) -> Truth:
    """The object in a segmentation, in the file's own pixels; ImageError("truth") if unreadable."""
    return decode_truth(_read(mask_path), mask_value, mask_path)


def decode_truth(data: bytes, mask_value: int | None, name: str = "the mask") -> Truth:
    """`read_truth` of a file's content."""
    mode, values = _values(data, name)
    if mask_value is not None:
        values = _classes(mode, values)
        void = values == (VOID_RGB if mode == "RGB" else VOID)
        found = values == mask_value
        return Truth(found, void & ~found)
    if mode == "P" and ((values != 0) & (values != VOID)).any():
        return Truth((values != 0) & (values != VOID), values == VOID)
    # a palette with nothing but 0 and 255 is black and white, without a void
    return Truth(values != 0, np.zeros(values.shape, bool))


def read_values(mask_path: str) -> NDArray[np.int64]:
    """Class values (H, W) of a segmentation; ImageError("truth") if unreadable."""
    return _classes(*_values(_read(mask_path), mask_path))


def truth_on_input(row: Mapping[str, Any], preprocess: Preprocess) -> Truth | None:
    """The truth of one image in the pixels of the classifier's input, (H, W).

    row  of the table `images`: `crop` (x0, y0, x1, y1 in original pixels), `width`, `height` and
         the manifest's `mask` and `mask_value`, or else `bbox`; None if it has neither.
    A pixel of the input takes the value of the mask at its centre (nearest neighbour); of boxes,
    those pixels are the object whose centre lies in a box. The object may lie outside the crop:
    then no pixel is. Padding is background. ImageError("truth") where the mask cannot be used.
    """
    x, y = _centres(row["crop"], preprocess.size)
    if row.get("mask"):
        return _mask_on_input(row, x, y)
    if row.get("bbox"):
        inside = _rasterise(_boxes(row["bbox"]), x, y)
        return Truth(inside, np.zeros_like(inside))
    return None


def _centres(crop: Mapping[str, float], size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """x of the columns' and y of the rows' centres, in original pixels."""
    at_y, at_x = ((np.arange(side) + 0.5) / side for side in size)
    x = crop["x0"] + at_x * (crop["x1"] - crop["x0"])
    y = crop["y0"] + at_y * (crop["y1"] - crop["y0"])
    # a centre on the border of two pixels belongs to the second, whatever the last bit says
    return x.round(6), y.round(6)


def _mask_on_input(row: Mapping[str, Any], x: NDArray[Any], y: NDArray[Any]) -> Truth:
    truth = read_truth(row["mask"], _value(row.get("mask_value")))
    height, width = truth.object.shape
    if (width, height) != (row["width"], row["height"]):
        raise ImageError(
            "truth",
            f"the mask {row['mask']} has {width} x {height} pixels, the upright image"
            f" {row['width']} x {row['height']}; expected the same",
        )
    inside = np.outer((y >= 0) & (y < height), (x >= 0) & (x < width))
    columns = np.floor(x).astype(int).clip(0, width - 1)
    rows = np.floor(y).astype(int).clip(0, height - 1)
    at = np.ix_(rows, columns)
    return Truth(truth.object[at] & inside, truth.ignore[at] & inside)


def _rasterise(boxes: Sequence[Box], x: NDArray[Any], y: NDArray[Any]) -> BoolArray:
    inside: BoolArray = np.zeros((len(y), len(x)), bool)
    for x0, y0, x1, y1 in boxes:
        inside |= np.outer((y >= y0) & (y < y1), (x >= x0) & (x < x1))
    return inside


def _boxes(text: str) -> list[Box]:
    try:
        return parse_boxes(text)
    except ValueError as error:
        raise ImageError("truth", f"bbox {error}") from None


def _value(cell: Any) -> int | None:
    if cell is None or cell == "":
        return None
    try:
        if int(cell) == float(cell):
            return int(cell)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ImageError("truth", f"mask_value is {cell!r}, expected a whole number")


def _read(path: str) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise ImageError("truth", f"the mask {path} does not exist") from None
    except Exception as error:  # every store raises its own
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ImageError("truth", f"the mask {path} cannot be read: {reason}") from None


def _classes(mode: str, values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values & 0xFFFF if mode == "RGB" else values  # ImageNet-S does not use B


def _values(data: bytes, name: str) -> tuple[str, NDArray[np.int64]]:
    """`P`, `L` or `RGB`, and the value of every pixel: R + 256 G + 65536 B of a colour."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            lossy, mode = image.format in ("JPEG", "MPO"), image.mode
            pixels = np.asarray(image)
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        reason = str(error).partition("\n")[0].partition(" <")[0]
        raise ImageError("truth", f"the mask {name} cannot be decoded: {reason}") from None
    if lossy:
        raise ImageError(
            "truth", f"the mask {name} is a JPEG, which changes values; store masks as PNG"
        )
    if mode == "P" or mode in _GREY:
        return ("P" if mode == "P" else "L"), pixels.astype(np.int64)
    if mode in ("LA", "RGBA"):
        pixels = pixels[..., :-1] * (pixels[..., -1:] > 0)
    if mode == "LA":
        return "L", pixels[..., 0].astype(np.int64)
    if mode in ("RGB", "RGBA"):
        return "RGB", pixels.astype(np.int64) @ np.array([1, 256, 65536])
    raise ImageError(
        "truth", f"the mask {name} has the mode {mode}; expected a palette, grey or RGB PNG"
    )
