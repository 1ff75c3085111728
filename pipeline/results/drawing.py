"""Drawings of one explained image: its masks over the photograph, in several styles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import RequestError
from pipeline.images import Style, overlay, parse_boxes, sheet
from pipeline.tables import ExplainedImage, MaskArray, placed

LONGEST_SIDE = 1024  # pixels of a picture; larger photographs are scaled down
HEAT_AREAS = 12  # whose mean is the heat
SMALLEST = 0.02  # of them


@dataclass(frozen=True, slots=True)
class Picture:
    """One overlay: image behind the mask of (restart, round, area), with what was measured.

    `area` is None for the heat of all areas.
    """

    restart: int
    round: int
    area: float | None
    caption: str
    image: Image.Image


class Drawing:
    """Draws the masks of one image on its upright original, scaled down where that is large."""

    def __init__(
        self, one: ExplainedImage, original: Image.Image, longest_side: int = LONGEST_SIDE
    ) -> None:
        self.one, self.row = one, one.row
        self.scale = min(1.0, longest_side / max(original.size))
        size = (max(1, round(side * self.scale)) for side in original.size)
        self.original = original.resize(tuple(size), Image.Resampling.LANCZOS)  # type: ignore[arg-type]

    def pictures(
        self, areas: Sequence[float] | None = None, style: Style = "dim"
    ) -> Iterator[Picture]:
        """Ordered by round, restart and area; areas that a round has no room for are left out."""
        chosen = tuple(areas or self.one.settings.config.areas)
        for e in sorted(self.one.explanations, key=lambda e: (e["round"], e["restart"])):
            room = self.one.settings.largest_area(e["round"])
            fitting = [area for area in chosen if area <= room]
            for area in [None] if style == "heat" else fitting:
                yield self.picture(area, restart=e["restart"], round_=e["round"], style=style)

    def picture(
        self, area: float | None, *, restart: int, round_: int = 0, style: Style = "dim"
    ) -> Picture:
        """The image behind one mask; `area` None and style heat: behind all of them."""
        if area is None:
            caption, mask = "yellow comes first, black last", self.heat(restart, round_)
        else:
            caption = self._caption(area, restart, round_)
            (mask,) = self.masks([area], restart=restart, round_=round_)
        drawn = overlay(self.original, mask, style=style, round_=round_, boxes=self._boxes())
        return Picture(restart, round_, area, caption, drawn)

    def best(self, area: float | None = None, style: Style = "dim") -> Picture:
        """The mask of round 0 of the restart that is the best there; None: at its telling area."""
        restart = self.one.best()["restart"]
        shown = None if style == "heat" else area or self.one.telling_area()
        return self.picture(shown, restart=restart, style=style)

    def draw(
        self, area: float, *, restart: int, round_: int = 0, style: Style = "dim"
    ) -> Image.Image:
        """The image behind one mask."""
        return self.picture(area, restart=restart, round_=round_, style=style).image

    def masks(self, areas: Sequence[float], *, restart: int, round_: int) -> list[MaskArray]:
        """Masks over the whole picture, 0 outside what the classifier saw."""
        left, top, right, bottom = self._crop()
        found = self.one.sized(
            areas, restart=restart, round=round_, size=(bottom - top, right - left)
        )
        size = (self.original.height, self.original.width)
        return [placed(mask, (left, top, right, bottom), size) for mask in found]

    def heat(self, restart: int, round_: int) -> MaskArray:
        """Mean of the masks of many areas: the earlier a pixel comes in, the brighter."""
        areas = self.growing(HEAT_AREAS, round_)
        total = np.zeros((self.original.height, self.original.width))
        for area in areas:
            total += self.masks([area], restart=restart, round_=round_)[0]
        return (total / len(areas)).round().astype(np.uint8)

    def growing(self, count: int, round_: int = 0) -> list[float]:
        """Areas from small to large, of equal ratios; without networks those that are stored."""
        settings = self.one.settings
        stored = tuple(settings.config.areas)
        if not settings.networks:
            return list(stored)
        low = min(SMALLEST, stored[0])
        high = min(settings.largest_area(round_), max(2 * stored[-1], 0.5), 0.9)
        return [float(area) for area in np.geomspace(low, high, count)]

    def sheet(self, pictures: Sequence[Picture]) -> Image.Image:
        """All pictures on one page: a row for every restart and round, the image in front."""
        rows: dict[tuple[int, int], list[tuple[Image.Image, str]]] = {}
        for p in pictures:
            name = f"round {p.round}, restart {p.restart}"
            row = rows.setdefault((p.round, p.restart), [(self.original, name)])
            row.append((p.image, p.caption))
        if not rows:
            raise RequestError(f"{self.one.id}: no round has room for these areas")
        return sheet(list(rows.values()), self.title())

    def title(self) -> str:
        """Id, class explained and its score; the predicted class where it is another."""
        return f"{self.one.id}: {class_line(self.row)}"

    def _caption(self, area: float, restart: int, round_: int) -> str:
        measured = self.one.mask_row(area, restart, round_)
        if measured is None:
            return f"area {area:g}"
        kept, removed = measured["score_kept"], measured["score_removed"]
        if (other := measured.get("contrast_kept")) is not None:
            against = [other, measured["contrast_removed"]]
            one, two = (f"{p:.2f}/{q:.2f}" for p, q in zip((kept, removed), against, strict=True))
            return f"{area:g} · kept {one} · removed {two}"
        return f"area {area:g} · kept {kept:.2f} · removed {removed:.2f}"

    def _crop(self) -> tuple[int, int, int, int]:
        box = {side: value * self.scale for side, value in self.row["crop"].items()}
        left, top = math.floor(box["x0"]), math.floor(box["y0"])
        right, bottom = max(left + 1, round(box["x1"])), max(top + 1, round(box["y1"]))
        return left, top, right, bottom

    def _boxes(self) -> list[tuple[float, ...]]:
        boxes: list[Any] = parse_boxes(self.row.get("bbox") or "")
        return [tuple(self.scale * side for side in box) for box in boxes]


def class_line(row: Mapping[str, Any]) -> str:
    """Class explained and its score, what it is held against; the predicted class where it is
    another.
    """
    line = f"{row['target_name']} {row['score']:.2f}"
    if row.get("contrast_name") is not None:
        line += f" and not {row['contrast_name']} {row['contrast_score']:.2f}"
    if row["predicted"] != row["target"]:
        line += f" (predicted {row['predicted_name']} {row['predicted_score']:.2f})"
    return line
