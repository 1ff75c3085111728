"""Masks of one image as the tables hold them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inr_core import metrics
from pipeline.tables.reader import RunReader


@dataclass(frozen=True, slots=True)
class StoredMasks:
    """Masks of one restart and round: soft (A, H, W) in [0, 1] and hard (A, H, W) bool."""

    areas: tuple[float, ...]
    soft: Tensor
    hard: Tensor


def chain_masks(reader: RunReader, id_: str) -> list[StoredMasks]:
    """Masks of the rounds of the restart that is the best in round 0."""
    rows = reader.rows("explanations", id_)
    (best,) = [e["restart"] for e in rows if e["round"] == 0 and e["best"]]
    return [restart_masks(reader, id_, best, e["round"]) for e in rows if e["restart"] == best]


def restart_masks(reader: RunReader, id_: str, restart: int, round_: int) -> StoredMasks:
    """Masks of one restart and round; hard ones are the top of each area."""
    rows = [m for m in reader.rows("masks", id_) if (m["restart"], m["round"]) == (restart, round_)]
    areas = tuple(m["area"] for m in rows)
    pictures = [np.array(Image.open(io.BytesIO(m["mask"]["bytes"]))) for m in rows]
    soft = torch.stack([as_float(picture) for picture in pictures])
    return StoredMasks(areas, soft, metrics.top_area(soft, areas))


def is_repeat(reader: RunReader, other: RunReader) -> bool:
    """Whether two runs differ in their seed alone."""
    one, two = reader.fingerprint, other.fingerprint
    return one["seed"] != two["seed"] and {**one, "seed": 0} == {**two, "seed": 0}


def as_float(picture: np.ndarray[Any, Any]) -> Tensor:
    """8 bits to [0, 1]."""
    return torch.from_numpy(picture).float() / 255
