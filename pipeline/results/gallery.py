"""Galleries of finished runs: one image with all its masks, runs side by side, many images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from PIL import Image

from pipeline.images import Style, sheet
from pipeline.results.drawing import Drawing, class_line
from pipeline.results.originals import Originals
from pipeline.tables import RunReader

T = TypeVar("T")
COLUMNS, PER_PAGE = 5, 60  # tiles of a contact sheet: across, and in all
TILE = 240


class Gallery(Drawing):
    """Draws the masks of one image of a run; RequestError if it cannot be read."""

    def __init__(
        self,
        reader: RunReader,
        id_: str,
        originals: Originals | None = None,
        target: int | None = None,
    ) -> None:
        self.reader = reader
        one = reader.explained(id_, target)
        super().__init__(one, (originals or Originals()).open(one.row))


def comparison(
    readers: Mapping[str, RunReader],
    images: Sequence[tuple[str, int]],
    area: float,
    *,
    style: Style = "dim",
    originals: Originals | None = None,
    tile: int = TILE,
) -> Image.Image:
    """Runs as columns, images as rows: best masks of one area, with the scores stored for them.

    images  (id, class explained), of all runs
    """
    rows = []
    for id_, target in images:
        galleries = {
            name: Gallery(reader, id_, originals, target) for name, reader in readers.items()
        }
        first = next(iter(galleries.values()))
        row = [(first.original, f"{first.row['target_name']} {first.row['score']:.2f}")]
        for name, gallery in galleries.items():
            best = gallery.best(area, style)
            row.append((best.image, f"{name}: {best.caption.partition(' · ')[2]}"))
        rows.append(row)
    return sheet(rows, f"area {area:g} · {', '.join(readers)}", tile=tile)


def contact_sheets(
    drawings: Iterable[tuple[Drawing, str]],
    title: str,
    areas: Sequence[float] | None,
    style: Style,
) -> Iterator[Image.Image]:
    """Pages of many images, each with a note: a tile for every image at its telling area; with
    `areas` a row for every image.
    """
    rows: Iterator[Sequence[tuple[Image.Image, str]]]
    if areas is None:
        tiles = (_tile(drawing, note, style) for drawing, note in drawings)
        rows, of_page = _batches(tiles, COLUMNS), PER_PAGE // COLUMNS
    else:
        rows = (_row(drawing, note, areas, style) for drawing, note in drawings)
        of_page = max(1, PER_PAGE // (1 + len(areas)))
    for page in _batches(rows, of_page):
        yield sheet(page, title, tile=TILE)


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch


def _tile(drawing: Drawing, note: str, style: Style) -> tuple[Image.Image, str]:
    best = drawing.best(None, style)
    return best.image, "\n".join([_name(drawing, note), class_line(drawing.row), best.caption])


def _row(
    drawing: Drawing, note: str, areas: Sequence[float], style: Style
) -> list[tuple[Image.Image, str]]:
    bests = [drawing.best(area, style) for area in areas]
    first = (drawing.original, f"{_name(drawing, note)}\n{class_line(drawing.row)}")
    return [first, *((best.image, best.caption) for best in bests)]


def _name(drawing: Drawing, note: str) -> str:
    return f"{drawing.one.id} · {note}" if note else drawing.one.id
