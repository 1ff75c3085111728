"""Images to benchmark with: generated ones, and a manifest that repeats images."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.manifest import ImageRef

SIZE = (500, 375)  # width and height, as of many photographs in ImageNet
BLOTCHES = (16, 12)
GRAIN = 10.0  # standard deviation of the noise, of 255
QUALITY = 90


def generate_images(folder: Path, count: int) -> Path:
    """Write `count` JPEG images, blotches of colour under grain, and their manifest.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{index:05d}.jpg" for index in range(count)]
    for index, name in enumerate(names):
        _image(index).save(folder / name, quality=QUALITY)
    return _write(folder / "manifest.csv", ([name, name, ""] for name in names))


def repeat_images(path: Path, refs: Sequence[ImageRef], count: int) -> Path:
    """Write a manifest of `count` rows that go round the images, each row with an id of its own."""
    rows = enumerate(islice(cycle(refs), count))
    return _write(
        path, ([f"{n:05d}", r.image, "" if r.target is None else str(r.target)] for n, r in rows)
    )


def _image(seed: int) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (BLOTCHES[1], BLOTCHES[0], 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))
    grainy = smooth + random.normal(0, GRAIN, smooth.shape)
    return Image.fromarray(grainy.round().clip(0, 255).astype(np.uint8))


def _write(path: Path, rows: Iterable[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "target"])
        writer.writerows(rows)
    return path
