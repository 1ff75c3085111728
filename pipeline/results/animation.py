"""A mask that grows with its area, as an animated WebP."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import RequestError
from pipeline.images import PAPER, TEXT, Style, clipped, overlay
from pipeline.results.drawing import Drawing

FRAMES = 48
FRAME_MS, HOLD_MS = 70, 1200  # of every frame, and of the last one
LINE = 22  # pixels of the line of text under the picture


def animate(drawing: Drawing, style: Style = "outline", round_: int = 0) -> bytes:
    """The best mask of a round from small to large; RequestError for the style heat.

    Methods without networks have a frame for each stored area.
    """
    if style == "heat":
        raise RequestError("--animate: heat shows all areas at once; choose another --style")
    restart = drawing.one.best(round_)["restart"]
    areas = drawing.growing(FRAMES, round_)
    frames = []
    for area in areas:
        (mask,) = drawing.masks([area], restart=restart, round_=round_)
        shown = overlay(drawing.original, mask, style=style, round_=round_)
        frames.append(_labelled(shown, f"{area:.0%} · {drawing.title()}", area))
    slow = HOLD_MS // 2 if len(areas) < FRAMES else FRAME_MS
    sink = io.BytesIO()
    frames[0].save(
        sink,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=[*[slow] * (len(frames) - 1), HOLD_MS],
        loop=0,
        quality=80,
    )
    return sink.getvalue()


def _labelled(image: Image.Image, text: str, area: float) -> Image.Image:
    """The picture over a line of text on a bar as long as the area."""
    page = Image.new("RGB", (image.width, image.height + LINE), PAPER)
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, image.height, round(area * image.width), page.height), (255, 214, 153))
    font = ImageFont.load_default(13)
    draw.text((4, image.height + 3), clipped(text, image.width - 8, font), TEXT, font)
    return page
