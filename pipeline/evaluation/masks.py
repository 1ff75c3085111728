"""The stored masks of one image, decoded."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.tables import ExplainedImage, pixels_of


@dataclass(frozen=True, slots=True)
class StoredMasks:
    """Masks of one restart and round: their areas, and they themselves in [0, 1], (A, H, W)."""

    areas: tuple[float, ...]
    soft: Tensor


@dataclass(frozen=True, slots=True)
class ImageMasks:
    """All masks of one image.

    chain     of the rounds of the restart that is the best in round 0
    restarts  of round 0, in order
    ranking   (H, W), the higher the earlier, of methods that rank pixels; None without
    """

    chain: list[StoredMasks]
    restarts: list[StoredMasks]
    ranking: Tensor | None = None


def decode(one: ExplainedImage) -> ImageMasks:
    """The masks in the tables."""
    rows = defaultdict(list)
    for row in one.masks:  # in order of restart, round and area
        rows[row["restart"], row["round"]].append(row)
    stored = {
        place: StoredMasks(
            tuple(m["area"] for m in own), torch.stack([_soft(m["mask"]["bytes"]) for m in own])
        )
        for place, own in rows.items()
    }
    first = one.best()
    best, ranking = first["restart"], first.get("ranking")
    return ImageMasks(
        chain=[masks for (restart, _), masks in stored.items() if restart == best],
        restarts=[masks for (_, round_), masks in stored.items() if round_ == 0],
        ranking=None if ranking is None else _soft(ranking),
    )


def as_float(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """8 bits to [0, 1]."""
    return torch.from_numpy(picture).float() / 255


def _soft(data: bytes) -> Tensor:
    return as_float(pixels_of(data))
