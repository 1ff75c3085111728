"""A folder of images of shapes with their ground truth and a manifest."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.shapes.images import CLASSES, Mask, generate


def write_dataset(folder: str | Path, count: int, seed: int, cues: float = 1.0) -> Path:
    """Writes `count` images with their ground truth as PNG and returns the path of `manifest.csv`.

    Columns: `id, image, target` (class name)`, mask` (of the object)`, cue_mask` (empty where there
    is none)`, bbox` (`x0,y0,x1,y1` of the object, x1 and y1 exclusive). Paths are relative to the
    manifest. Classes take turns.

    cues  share of the images of a class with a cue that show it
    """
    folder = Path(folder)
    for name in ("images", "masks", "cues"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "target", "mask", "cue_mask", "bbox"])
        writer.writerows(_write_image(folder, index, seed, cues) for index in range(count))
    return path


def _write_image(folder: Path, index: int, seed: int, cues: float) -> list[str]:
    """Writes one image and its masks; returns its row of the manifest."""
    turn = index // len(CLASSES)
    item = generate(index, seed=seed, with_cue=int((turn + 1) * cues) > int(turn * cues))
    name = f"shapes-{index:05d}"
    arrays = {"images": item.pixels, "masks": _grey(item.object_mask)}
    if item.cue_mask is not None:
        arrays["cues"] = _grey(item.cue_mask)
    for kind, array in arrays.items():
        Image.fromarray(array).save(folder / kind / f"{name}.png")
    paths = [f"{kind}/{name}.png" if kind in arrays else "" for kind in ("images", "masks", "cues")]
    return [name, paths[0], CLASSES[item.label], *paths[1:], _bbox(item.object_mask)]


def _grey(mask: Mask) -> NDArray[np.uint8]:
    return np.where(mask, 255, 0).astype(np.uint8)


def _bbox(mask: Mask) -> str:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return f"{columns[0]},{rows[0]},{columns[-1] + 1},{rows[-1] + 1}"
