"""The boxes of the ground truth, as text in the column `bbox`."""

from __future__ import annotations

import math
from typing import Any

Box = tuple[float, float, float, float]


def parse_boxes(text: str) -> list[Box]:
    """Boxes `x0,y0,x1,y1` in original pixels, separated by `;`; ValueError says what is wrong."""
    boxes = []
    for part in text.split(";") if text.strip() else ():
        try:
            x0, y0, x1, y1 = map(float, part.split(","))
        except ValueError:
            raise ValueError(f"{part!r} is not x0,y0,x1,y1") from None
        if not (all(map(math.isfinite, (x0, y0, x1, y1))) and x1 > x0 and y1 > y0):
            raise ValueError(f"{part!r} needs finite numbers with x1 > x0 and y1 > y0")
        boxes.append((x0, y0, x1, y1))
    return boxes


def bbox_problem(cell: Any) -> str | None:
    """What is wrong with a cell of the column `bbox`, None if nothing is."""
    try:
        if not isinstance(cell, str):
            raise ValueError(f"{cell!r} is not text")
        parse_boxes(cell)
    except ValueError as error:
        return f"bbox {error}; expected x0,y0,x1,y1, several boxes separated by `;`"
    return None
