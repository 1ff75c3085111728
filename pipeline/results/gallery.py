"""Overlays of one image of a run: every restart and round at every area."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import ImageError, RequestError
from pipeline.images import overlay, parse_boxes, read_image, sheet
from pipeline.tables import MaskArray, RunReader

LONGEST_SIDE = 1024  # pixels of a picture; larger photographs are scaled down


@dataclass(frozen=True, slots=True)
class Picture:
    """One overlay: image behind the mask of (restart, round, area), with what was measured."""

    restart: int
    round: int
    area: float
    caption: str
    image: Image.Image


class Gallery:
    """Draws the masks of one image on the upright original; RequestError if it cannot be read."""

    def __init__(self, reader: RunReader, id_: str) -> None:
        self.reader = reader
        self.row = reader.image(id_)
        try:
            original = read_image(self.row["image"])
        except ImageError as error:
            raise RequestError(f"{self.row['image']}: {error.reason}") from error
        self.scale = min(1.0, LONGEST_SIDE / max(original.size))
        size = (round(original.width * self.scale), round(original.height * self.scale))
        self.original = original.resize(size, Image.Resampling.LANCZOS)

    def pictures(self, areas: Sequence[float] | None = None) -> Iterator[Picture]:
        """Ordered by round, restart and area; areas that a round has no room for are left out."""
        id_ = self.row["id"]
        scores = self._measured()
        chosen = tuple(areas or self.reader.config.areas)
        for e in sorted(
            self.reader.rows("explanations", id_), key=lambda e: (e["round"], e["restart"])
        ):
            room = self.reader.largest_area(e["round"])
            for area in (a for a in chosen if a <= room):
                measured = scores.get((e["restart"], e["round"], area))
                yield Picture(
                    e["restart"],
                    e["round"],
                    area,
                    _caption(area, measured),
                    self.draw(area, restart=e["restart"], round_=e["round"]),
                )

    def sheet(self, pictures: Sequence[Picture]) -> Image.Image:
        """All pictures on one page: a row for every restart and round, the image in front."""
        rows: dict[tuple[int, int], list[tuple[Image.Image, str]]] = {}
        for p in pictures:
            name = f"round {p.round}, restart {p.restart}"
            row = rows.setdefault((p.round, p.restart), [(self.original, name)])
            row.append((p.image, p.caption))
        return sheet(list(rows.values()), self.title())

    def best(self, area: float) -> Picture:
        """The mask of round 0 of the restart that is the best there."""
        for e in self.reader.rows("explanations", self.row["id"]):
            if e["round"] == 0 and e["best"]:
                measured = self._measured().get((e["restart"], 0, area))
                picture = self.draw(area, restart=e["restart"])
                return Picture(e["restart"], 0, area, _caption(area, measured), picture)
        raise RequestError(f"{self.row['id']}: no explanation in {self.reader.store.uri}")

    def draw(self, area: float, *, restart: int, round_: int = 0) -> Image.Image:
        """The image behind one mask."""
        left, top, right, bottom = self._crop()
        mask = self.reader.mask(
            self.row["id"], area, restart=restart, round=round_, size=(bottom - top, right - left)
        )
        whole: MaskArray = np.zeros((self.original.height, self.original.width), np.uint8)
        whole[top:bottom, left:right] = mask
        return overlay(self.original, whole, round_=round_, boxes=self._boxes())

    def _measured(self) -> dict[tuple[int, int, float], dict[str, Any]]:
        masks = self.reader.rows("masks", self.row["id"])
        return {(m["restart"], m["round"], m["area"]): m for m in masks}

    def _crop(self) -> tuple[int, int, int, int]:
        box = {side: value * self.scale for side, value in self.row["crop"].items()}
        left, top = math.floor(box["x0"]), math.floor(box["y0"])
        right = min(self.original.width, max(left + 1, round(box["x1"])))
        bottom = min(self.original.height, max(top + 1, round(box["y1"])))
        return left, top, right, bottom

    def _boxes(self) -> list[tuple[float, ...]]:
        boxes: list[Any] = parse_boxes(self.row.get("bbox") or "")
        return [tuple(self.scale * side for side in box) for box in boxes]

    def title(self) -> str:
        """Id, class explained and its score; the predicted class where it is another."""
        row = self.row
        title = f"{row['id']}: {row['target_name']} {row['score']:.2f}"
        if row["predicted"] != row["target"]:
            title += f" (predicted {row['predicted_name']} {row['predicted_score']:.2f})"
        return title


def _caption(area: float, measured: dict[str, Any] | None) -> str:
    if measured is None:
        return f"area {area:g}"
    kept, removed = measured["score_kept"], measured["score_removed"]
    return f"area {area:g} · kept {kept:.2f} · removed {removed:.2f}"


def comparison(
    readers: Mapping[str, RunReader], ids: Sequence[str], area: float, *, tile: int = 240
) -> Image.Image:
    """Runs as columns, images as rows: best masks of one area, with the scores stored for them."""
    rows = []
    for id_ in ids:
        galleries = {name: Gallery(reader, id_) for name, reader in readers.items()}
        first = next(iter(galleries.values()))
        row = [(first.original, f"{first.row['target_name']} {first.row['score']:.2f}")]
        for name, gallery in galleries.items():
            best = gallery.best(area)
            row.append((best.image, f"{name}: {best.caption.partition(' · ')[2]}"))
        rows.append(row)
    return sheet(rows, f"area {area:g} · {', '.join(readers)}", tile=tile)
