"""Masks held against evidence that is known, as in generated images."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.images import read_values
from pipeline.tables import RunReader

FOUND = 0.5  # a mask has found what covers this share of it


@dataclass(frozen=True, slots=True)
class Truth:
    """Where the evidence is: boolean masks (H, W); classes without a cue have none."""

    object: np.ndarray[Any, Any]
    cue: np.ndarray[Any, Any] | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One image of the table. `found` says what each round's mask lies on."""

    id: str
    name: str
    kept: float
    removed: float
    area_error: float
    precision: float
    found: tuple[str, ...]
    has_cue: bool


def read_truths(manifest: Path) -> dict[str, Truth]:
    """Ground truth of every image of the manifest."""

    def load(name: str) -> np.ndarray[Any, Any]:
        return read_values(str(manifest.parent / name)) > 127

    with manifest.open(newline="") as stream:
        return {
            row["id"]: Truth(load(row["mask"]), load(row["cue_mask"]) if row["cue_mask"] else None)
            for row in csv.DictReader(stream)
        }


def find(reader: RunReader, id_: str, area: float, truth: Truth) -> Finding:
    """Compare the masks of one image and area with the truth."""
    image = reader.image(id_)
    rows = {row["round"]: row for row in reader.rows("masks", id_) if row["area"] == area}
    hard = {k: reader.stored_mask(id_, area, round=k) > 127 for k in rows}
    errors = [abs(row["measured_area"] - row["area"]) for row in reader.rows("masks", id_)]
    return Finding(
        id=id_,
        name=image["target_name"],
        kept=rows[0]["score_kept"],
        removed=rows[0]["score_removed"],
        area_error=max(errors),
        precision=max(_share(mask, truth.object) for mask in hard.values()),
        found=tuple(_found(hard[k], truth) for k in sorted(hard)),
        has_cue=truth.cue is not None,
    )


def _found(mask: np.ndarray[Any, Any], truth: Truth) -> str:
    if _share(mask, truth.object) >= FOUND:
        return "object"
    return "cue" if truth.cue is not None and _share(mask, truth.cue) >= FOUND else "neither"


def _share(mask: np.ndarray[Any, Any], part: np.ndarray[Any, Any]) -> float:
    return float((mask & part).sum() / max(1, mask.sum()))
