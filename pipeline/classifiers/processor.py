"""The preprocessing of an image processor of transformers, found by looking at what it does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import RequestError
from pipeline.images import Preprocess, load_image

SIDE = 320  # of the generated image, in pixels
LEVELS = 4  # of 255: how far apart two libraries may resize a smooth image


def preprocess_of(spec: str, processor: Any) -> Preprocess:
    """The fields that do with a generated square image what the processor does with it.

    RequestError where no fields do, or where images that are not square stay so.
    """
    image = _generated()
    wanted_CHW = _shown(processor, image)
    if _shown(processor, image.resize((2 * SIDE, SIDE))).shape != (3, *2 * wanted_CHW.shape[1:2]):
        raise RequestError(
            f"--model {spec}: its image processor does not make every image a square of one size; "
            "expected `size` with height and width, or a centre crop"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "generated.png")
        image.save(file)
        for fields in _candidates(spec, processor, wanted_CHW.shape[-1]):
            if _agree(load_image(file, fields).pixels, wanted_CHW, fields):
                return fields
    raise RequestError(
        f"--model {spec}: its {type(processor).__name__} does more than resize, crop, divide by "
        "255, subtract a mean and divide by a standard deviation; do the rest inside a module of "
        "your own and give it as --model python:MODULE:FACTORY"
    )


def fields_of(spec: str, **fields: Any) -> Preprocess:
    """Preprocess(**fields), whose errors name the model `spec`."""
    try:
        return Preprocess(**fields)
    except RequestError as error:
        raise RequestError(
            f"--model {spec}: {error}; wrap the model as --model python:MODULE:FACTORY"
        ) from error


def _candidates(spec: str, processor: Any, crop: int) -> Iterator[Preprocess]:
    """Fields for the ways in which processors read their setting `size`."""
    size = getattr(processor, "size", None) or {}
    edge = size.get("shortest_edge") or size.get("height")
    if edge is None:
        return
    normal = processor.do_normalize
    part = getattr(processor, "crop_pct", None) or 1
    for resize in (edge, int(edge / part), int(edge * 256 / 224)):  # the last is LeViT's
        if resize >= crop:
            yield fields_of(
                spec,
                resize=resize,
                crop=crop,
                mean=tuple(processor.image_mean) if normal else (0, 0, 0),
                std=tuple(processor.image_std) if normal else (1, 1, 1),
                interpolation=Image.Resampling(processor.resample).name.lower(),
            )


def _generated() -> Image.Image:
    """A square whose red, green and blue rise in different directions."""
    row, column = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    rgb = np.stack([row, column, (2 - row - column) / 2], -1)
    return Image.fromarray((rgb * 255).round().astype(np.uint8))


def _shown(processor: Any, image: Image.Image) -> Tensor:
    pixels: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
    return pixels


def _agree(one_CHW: Tensor, two_CHW: Tensor, fields: Preprocess) -> bool:
    """Whether two normalised images are the same up to some levels of 255."""
    levels = (one_CHW - two_CHW).abs() * torch.tensor(fields.std)[:, None, None] * 255
    return bool(levels.max() <= LEVELS)
