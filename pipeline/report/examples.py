"""Images to look at: the worst, the best and some between, with overlays of their masks."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from PIL import Image

from pipeline.errors import RequestError
from pipeline.report.parts import homes
from pipeline.results import Gallery
from pipeline.tables import RunReader

SIDE = 220  # pixels of a picture's longer side
QUALITY = 82  # of its JPEG


@dataclass(frozen=True, slots=True)
class Tile:
    """A mask on its image as a data URI, with the scores stored for it."""

    area: float
    kept: float
    removed: float
    picture: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image: its row, the image itself, and tiles of the best restart of every round."""

    label: str
    row: dict[str, Any]
    picture: str
    size: tuple[int, int]
    rounds: tuple[tuple[Tile, ...], ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that cannot be drawn any more."""

    id: str
    reason: str


def choose(ranking: pa.Table, count: int) -> dict[str, list[str]]:
    """Ids by label; a third each, where there are enough. `ranking` has the lowest first."""
    ids, total = ranking["id"], len(ranking)
    count = min(count, total)
    lowest, highest, between = (count + 2) // 3, (count + 1) // 3, count // 3
    start = lowest + (total - lowest - highest - between) // 2
    ranges = {
        "lowest": range(lowest),
        "middle": range(start, start + between),
        "highest": range(total - highest, total),
    }
    return {label: [ids[n].as_py() for n in places] for label, places in ranges.items()}


def examples(reader: RunReader, ranking: pa.Table, count: int) -> Iterator[Example | Unreadable]:
    """Draw the chosen images, one at a time."""
    chosen = choose(ranking, count)
    readers = homes(reader, [id_ for ids in chosen.values() for id_ in ids])
    for label, ids in chosen.items():
        for id_ in ids:
            try:
                yield _example(label, Gallery(readers[id_], id_))
            except RequestError as error:
                yield Unreadable(id_, str(error))


def _example(label: str, gallery: Gallery) -> Example:
    row = gallery.row
    _fit(gallery)
    masks = gallery.reader.rows("masks", row["id"])
    best = [e for e in gallery.reader.rows("explanations", row["id"]) if e["best"]]
    rounds = []
    for e in sorted(best, key=lambda e: int(e["round"])):
        place = (e["restart"], e["round"])
        of_round = [m for m in masks if (m["restart"], m["round"]) == place]
        rounds.append(tuple(_tile(gallery, m) for m in of_round))
    picture = data_uri(gallery.original)
    return Example(
        label=label, row=row, picture=picture, size=gallery.original.size, rounds=tuple(rounds)
    )


def _tile(gallery: Gallery, mask: dict[str, Any]) -> Tile:
    drawn = gallery.draw(mask["area"], restart=mask["restart"], round_=mask["round"])
    scores = mask["score_kept"], mask["score_removed"]
    return Tile(mask["area"], *scores, data_uri(drawn), drawn.size)


def _fit(gallery: Gallery) -> None:
    """Bring the image to the size of a tile, so that masks are drawn at it."""
    row, size = gallery.row, gallery.original.size
    if size != (round(row["width"] * gallery.scale), round(row["height"] * gallery.scale)):
        raise RequestError(
            f"{row['image']}: was {row['width']} x {row['height']} pixels when it was explained, "
            "and has another size now"
        )
    gallery.scale = SIDE / max(row["width"], row["height"])
    width, height = (max(1, round(row[side] * gallery.scale)) for side in ("width", "height"))
    gallery.original = gallery.original.resize((width, height), Image.Resampling.LANCZOS)


def data_uri(picture: Image.Image) -> str:
    """A picture as JPEG within the page."""
    sink = io.BytesIO()
    picture.convert("RGB").save(sink, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"
