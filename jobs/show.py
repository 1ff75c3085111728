"""`xaipipe show`: pictures of one image's masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import pipeline
from jobs.options import parse_areas
from pipeline import results


def show(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    image_id: Annotated[str, typer.Argument(help="An id of the images table.")],
    to: Annotated[Path, typer.Option(help="Folder for the PNGs.", show_default=True)] = Path(
        "overlays"
    ),
    areas: Annotated[
        str | None,
        typer.Option(
            help="Areas to draw, trained on or not (.03,.15; only stored ones without networks); "
            "default: those of the run.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw the masks of one image: a page with all of them, and one PNG each.

    Masks are rendered from the stored networks in the image's own pixels (of methods without
    networks the stored masks are enlarged): what is kept in colour, the rest grey, the contour
    orange in round 0 and blue in round 1, ground-truth boxes white.
    """
    gallery = results.Gallery(pipeline.read(uri), image_id)
    pictures = list(gallery.pictures(parse_areas(areas) if areas else None))
    console = Console()
    for path in save(gallery, pictures, to):
        console.print(str(path), highlight=False, soft_wrap=True)


def save(gallery: results.Gallery, pictures: list[results.Picture], to: Path) -> list[Path]:
    """Write the page and the single overlays; returns their paths, the page first."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in gallery.row["id"])
    to.mkdir(parents=True, exist_ok=True)
    page = to / f"{name}.png"
    gallery.sheet(pictures).save(page)
    paths = [page]
    for p in pictures:
        path = to / f"{name}_restart{p.restart}_round{p.round}_area{p.area:g}.png"
        p.image.save(path)
        paths.append(path)
    return paths
