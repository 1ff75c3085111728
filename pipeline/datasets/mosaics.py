"""Mosaics of labelled images: truth about places without annotation.

In the grid pointing game (Böhle et al. 2021; over attribution methods 2303.11884) a classifier sees
four images of different classes at once. What speaks for one of the classes lies in its cell, so
the cell is the ground truth of an explanation of that class.
"""

from __future__ import annotations

import hashlib
import heapq
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as count_up
from itertools import islice

import numpy as np
from PIL import Image, ImageOps

from pipeline.datasets.writer import Row, Source
from pipeline.errors import ImageError, RequestError
from pipeline.images import read_image
from pipeline.paths import plain_path

CELLS = 4  # of a mosaic: upper left, upper right, lower left, lower right


@dataclass(frozen=True, slots=True)
class Part:
    """A labelled image: its id, its path or URL, its class as the manifest names it."""

    id: str
    image: str
    target: str


def mosaics_source(
    parts: Sequence[Part], folder: str, *, count: int | None = None, side: int = 224, seed: int = 0
) -> Source:
    """2 x 2 mosaics of images of four different classes, one row per cell; `bbox` is the cell.

    folder  receives the mosaics, as PNG; one that is there already is not made again
    count   mosaics; None: as many as there are while each image is used once. With more, all images
            are dealt out again, in another order
    side    of a cell, in pixels; an image is cut to its central square
    RequestError for fewer than four classes, and for an image that cannot be read.
    """
    own = list({part.image: part for part in reversed(parts)}.values())[::-1]
    classes = {part.target for part in own}
    if len(classes) < CELLS:
        raise RequestError(
            f"the manifest has images of {len(classes)} classes; expected {CELLS} or more, of which"
            " each mosaic shows as many"
        )
    notes: tuple[str, ...] = (
        f"every cell's truth is the cell: a share of 1 / {CELLS} of the mosaic",
    )
    if len(own) < len(parts):
        notes += (f"{len(parts) - len(own)} further rows of the same images were left out",)
    images = os.path.join(os.path.abspath(plain_path(folder)), "images")
    return Source(
        columns=("id", "image", "target", "bbox", "cell", "part"),
        rows=_rows(own, images, count, side, seed),
        notes=notes,
    )


def _rows(
    parts: Sequence[Part], folder: str, count: int | None, side: int, seed: int
) -> Iterator[Row]:
    os.makedirs(folder, exist_ok=True)
    for number, cells in enumerate(islice(_dealt(parts, seed, again=count is not None), count)):
        name = f"{number:05d}-{_digest(cells, side)}"
        path = os.path.join(folder, f"{name}.png")
        if not os.path.exists(path):
            _write(_mosaic(cells, side), path)
        for cell, part in enumerate(cells):
            x, y = _corner(cell, side)
            yield {
                "id": f"{name}-{cell}",
                "image": path,
                "target": part.target,
                "bbox": f"{x},{y},{x + side},{y + side}",
                "cell": cell,
                "part": part.id,
            }


def _dealt(parts: Sequence[Part], seed: int, *, again: bool) -> Iterator[list[Part]]:
    """Four images of different classes at a time, each image once; `again`: without an end.

    From the four largest piles of a class, so that as few images as possible are left at the end.
    """
    for turn in count_up():
        random = np.random.default_rng((seed, turn))
        piles: dict[str, list[Part]] = {}
        for n in random.permutation(len(parts)):
            piles.setdefault(parts[n].target, []).append(parts[n])
        while len(piles) >= CELLS:
            chosen = heapq.nlargest(CELLS, piles, key=lambda target: len(piles[target]))
            cells = [piles[target].pop() for target in chosen]
            yield [cells[n] for n in random.permutation(CELLS)]
            piles = {target: pile for target, pile in piles.items() if pile}
        if not again:
            return


def _mosaic(cells: Sequence[Part], side: int) -> Image.Image:
    whole = Image.new("RGB", (2 * side, 2 * side))
    for cell, part in enumerate(cells):
        try:
            image = read_image(part.image)
        except ImageError as error:
            raise RequestError(
                f"{part.image}: {error.reason}; expected an image; leave its row ({part.id}) out of"
                " the manifest"
            ) from error
        own = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
        whole.paste(own, _corner(cell, side))
    return whole


def _corner(cell: int, side: int) -> tuple[int, int]:
    """x and y of its upper left corner."""
    return cell % 2 * side, cell // 2 * side


def _digest(cells: Sequence[Part], side: int) -> str:
    """Tells mosaics of other images from each other: a name stands for one picture."""
    text = "|".join([str(side), *(f"{part.image} {part.target}" for part in cells)])
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _write(picture: Image.Image, path: str) -> None:
    """A file that is whole as soon as it has its name."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    with open(f"{path}.part", "wb") as file:
        file.write(data.getvalue())
    os.replace(f"{path}.part", path)
