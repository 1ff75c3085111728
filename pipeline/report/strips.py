"""Masks of one explanation at a dozen areas: what the page's slider goes through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipeline.report.thumbnails import strip
from pipeline.tables import RunReader, pixels_of, rendered

CELL = 64  # pixels of a mask's side
AREAS = 12
Row = dict[str, Any]


def grid(reader: RunReader) -> list[float]:
    """Areas of the slider: those that are stored, and between them where networks can be asked."""
    stored = sorted(a for a in reader.config.areas if a <= reader.largest_area(0))
    if not reader.networks:
        return stored
    areas = list(stored) if len(stored) > 1 else [stored[0] / 4, *stored, _wider(reader, stored[0])]
    while len(areas) < AREAS:
        gaps = [after / before for before, after in zip(areas, areas[1:], strict=False)]
        n = gaps.index(max(gaps))
        areas.insert(n + 1, round(math.sqrt(areas[n] * areas[n + 1]), 4))
    return sorted(set(areas))


def _wider(reader: RunReader, area: float) -> float:
    return min(4 * area, (area + reader.largest_area(0)) / 2)


class Strips:
    """Draws the explanations of a run, each in one picture; `areas` are those of `grid`."""

    def __init__(self, reader: RunReader) -> None:
        self.reader, self.areas = reader, grid(reader)

    def draw(self, explanation: Row, chain: Sequence[Row], masks: Sequence[Row]) -> Row:
        """`areas` and `strip`, their masks side by side as a data URI.

        chain  explanations of the same restart; masks: rows of this explanation
        """
        if self.reader.networks:
            areas = [a for a in self.areas if a <= self.reader.largest_area(explanation["round"])]
            before = [e for e in chain if e["round"] <= explanation["round"]]
            drawn = rendered(before, areas, (CELL, CELL), self.reader.config.mask)
            return {"areas": areas, "strip": strip(drawn)}
        pictures = [_small(row["mask"]["bytes"]) for row in masks]
        return {"areas": [row["area"] for row in masks], "strip": strip(np.stack(pictures))}


def scores(masks: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Area, kept and removed of every stored mask, smallest first; with a contrast its kept and
    removed behind.
    """
    columns = ("area", "score_kept", "score_removed", "contrast_kept", "contrast_removed")
    return sorted([round(row[name], 4) for name in columns if name in row] for row in masks)


def _small(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    picture = Image.fromarray(pixels_of(data))
    return np.array(picture.resize((CELL, CELL), Image.Resampling.BOX))
