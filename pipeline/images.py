"""Images: reads any image as upright RGB and prepares it the way a classifier was trained."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar

import fsspec
import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.errors import ImageError, RequestError

T = TypeVar("T")
V = TypeVar("V")

MAX_RESIZED_PIXELS = 64_000_000  # beyond it, a thin strip would fill the memory when resized
_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}
_UPRIGHT = {  # EXIF orientation -> what brings the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# `_open` checks the size itself, and an image with a damaged EXIF block is taken as upright.
# Filtered once for the process, as `warnings.catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Corrupt EXIF data")


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
        if self.interpolation not in _INTERPOLATIONS:
            raise RequestError(
                f"preprocess: interpolation={self.interpolation};"
                f" expected {', '.join(_INTERPOLATIONS)}"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image as the classifier sees it.

    `pixels` is (3, crop, crop) float32, normalised. `width` and `height` are those of the upright
    original; `crop` is the box x0, y0, x1, y1 in its pixels that `pixels` shows.
    """

    pixels: torch.Tensor
    width: int
    height: int
    crop: tuple[float, float, float, float]


def read_image(uri: str) -> Image.Image:
    """An image file at any URL as upright RGB, fully decoded; of an animation the first frame.

    What is transparent becomes white. ImageError("read") where the file cannot be read,
    ImageError("decode") where it holds no usable image.
    """
    data = _read_bytes(uri)
    if not data:
        raise ImageError("decode", "the file is empty")
    try:
        with _open(data) as image:
            image.load()
            upright = _UPRIGHT.get(_orientation(image))
            rgb = _to_rgb(image)
    except ImageError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise ImageError("decode", f"the image cannot be decoded: {_plain(error)}") from None
    return rgb if upright is None else rgb.transpose(upright)


def load_image(uri: str, preprocess: Preprocess) -> LoadedImage:
    """Reads an image and prepares it exactly as torchvision's Resize, CenterCrop, Normalize do."""
    image = read_image(uri)
    width, height = image.size
    resized = _resized_size(width, height, preprocess.resize)
    left, top = (round((side - preprocess.crop) / 2) for side in resized)
    right, bottom = left + preprocess.crop, top + preprocess.crop
    x, y = width / resized[0], height / resized[1]
    image = image.resize(resized, _INTERPOLATIONS[preprocess.interpolation])
    return LoadedImage(
        pixels=_normalise(image.crop((left, top, right, bottom)), preprocess),
        width=width,
        height=height,
        crop=(left * x, top * y, right * x, bottom * y),
    )


def prefetch(
    items: Iterable[T], load: Callable[[T], V], *, ahead: int = 8, threads: int = 2
) -> Generator[tuple[T, V | ImageError], None, None]:
    """Loads items in threads while the caller works, in order, at most `ahead` of them waiting.

    Loading begins with the call. An ImageError raised by `load` is yielded in place of the value,
    any other exception raised.
    """
    if ahead < 1:
        raise ValueError(f"ahead is {ahead}, expected at least 1")
    todo = iter(items)
    waiting: deque[tuple[T, Future[V]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")

    def fill() -> None:
        for item in islice(todo, ahead - len(waiting)):
            waiting.append((item, pool.submit(load, item)))

    def loaded() -> Generator[tuple[T, V | ImageError], None, None]:
        try:
            while waiting:
                result = _next_result(waiting)
                fill()
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    fill()
    return loaded()


def _next_result(
    waiting: deque[tuple[T, Future[V]]],
) -> tuple[T, V] | tuple[T, ImageError]:
    item, future = waiting.popleft()
    try:
        return item, future.result()
    except ImageError as error:
        # a fresh one: the traceback of the old holds on to the image's bytes
        return item, ImageError(error.stage, error.reason)


def _read_bytes(uri: str) -> bytes:
    try:
        if "://" not in uri:  # a plain path: fsspec would read a meaning into `::` in it
            with open(uri, "rb") as file:
                return file.read()
        fs, path = fsspec.core.url_to_fs(uri)
        data: bytes = fs.cat_file(path)
        return data
    except FileNotFoundError:
        raise ImageError("read", "there is no such file") from None
    except PermissionError:
        raise ImageError("read", "permission was denied") from None
    except Exception as error:  # every store raises its own
        raise ImageError("read", f"the file cannot be read: {_plain(error)}") from None


def _open(data: bytes) -> Image.Image:
    too_large = f"the image is larger than {Image.MAX_IMAGE_PIXELS} pixels; scale it down"
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageError("decode", "the file is not an image of a known format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError("decode", too_large) from None
    if Image.MAX_IMAGE_PIXELS is not None and math.prod(image.size) > Image.MAX_IMAGE_PIXELS:
        raise ImageError("decode", too_large)
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1 (upright) where the EXIF block is damaged, as the pixels may be fine."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    if image.mode == "F":
        raise ImageError("decode", "pixels are floats of unknown range; store them as 8 or 16 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits scaled to 8; Pillow's own conversion would clip everything above 255."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError("decode", "grey values lie outside 0 to 65535; store them as 16 bits")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _resized_size(width: int, height: int, shorter: int) -> tuple[int, int]:
    longer = int(shorter * max(width, height) / min(width, height))
    if longer * shorter > MAX_RESIZED_PIXELS:
        raise ImageError(
            "decode",
            f"{width} x {height} pixels is too thin a strip: resized, it would be"
            f" {longer} x {shorter} pixels; crop it",
        )
    return (shorter, longer) if width <= height else (longer, shorter)


def _normalise(image: Image.Image, preprocess: Preprocess) -> torch.Tensor:
    pixels_HWC = torch.from_numpy(np.array(image))
    pixels = pixels_HWC.permute(2, 0, 1).contiguous().to(torch.float32).div_(255)
    mean, std = (torch.tensor(three)[:, None, None] for three in (preprocess.mean, preprocess.std))
    return pixels.sub_(mean).div_(std)


def _plain(error: Exception) -> str:
    """An error's first line, the same in every run: without memory addresses or paths."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "(an object)", text.splitlines()[0])
