"""Sheets: pictures with captions in rows on one page."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

TEXT, PAPER = (30, 30, 30), (255, 255, 255)
GAP, LINE = 6, 18  # pixels between tiles, and of a line of text
Tile = tuple[Image.Image, str]  # a picture and its caption, whose lines are separated by \n


def sheet(rows: Sequence[Sequence[Tile]], title: str, *, tile: int = 240) -> Image.Image:
    """Tiles with captions under them, one row each, under a title.

    What does not fit into the width is cut off with an ellipsis.
    """
    font = ImageFont.load_default(13)
    small = [[(_fit(image, tile), caption) for image, caption in row] for row in rows]
    heights = [max(image.height + LINE * _lines(text) for image, text in row) for row in small]
    columns = max(len(row) for row in small)
    width = GAP + columns * (tile + GAP)
    page = Image.new("RGB", (width, LINE + 2 * GAP + sum(h + GAP for h in heights)), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((GAP, GAP), clipped(title, width - 2 * GAP, font), TEXT, font)
    top = LINE + 2 * GAP
    for row, height in zip(small, heights, strict=True):
        for column, (image, caption) in enumerate(row):
            left = GAP + column * (tile + GAP)
            page.paste(image, (left, top))
            for n, line in enumerate(caption.split("\n")):
                place = (left, top + image.height + 1 + n * LINE)
                draw.text(place, clipped(line, tile, font), TEXT, font)
        top += height + GAP
    return page


def clipped(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _fit(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
