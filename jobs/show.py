"""`xaipipe show`: pictures of masks, of one image or of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import pipeline
from jobs.console import Console
from jobs.options import parse_areas
from pipeline import RequestError, images, results
from pipeline.paths import file_name, redacted

TOP = 20  # images of a contact sheet
SMALL, ANIMATED = 480, 480  # longest sides of tiles and of animations, in pixels


def show(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    image_ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of the images table (default: what --where asks for)."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only images for which this is true, in SQL, of columns of `images`, of the best "
            "explanation of round 0, and of `regions`: 'minimal_area < .05 and predicted != "
            "target'.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Only this class, a name or an index, where several of an image are explained.",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="The largest COLUMN (or expression) first.", metavar="COLUMN"),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The smallest first.")] = False,
    top: Annotated[int, typer.Option(min=1, help="So many images at the most.")] = TOP,
    to: Annotated[Path, typer.Option(help="Folder for the pictures.", show_default=True)] = Path(
        "overlays"
    ),
    areas: Annotated[
        str | None,
        typer.Option(
            help="Areas to draw, trained on or not (.03,.15; only stored ones without networks); "
            "default: those of the run; of many images the smallest that keeps the score.",
            show_default=False,
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            help="dim (grey outside), outline (a line alone), blur (blurred outside, as the "
            "classifier was shown it) or heat (all areas in one picture)."
        ),
    ] = "dim",
    animate: Annotated[
        bool, typer.Option("--animate", help="Also an animated WebP of each mask as it grows.")
    ] = False,
    root: Annotated[
        str | None,
        typer.Option(help="Folder or URL of the images, if they have moved.", show_default=False),
    ] = None,
) -> None:
    """Draw masks over their images: all masks of one image, or a contact sheet of many.

    Masks are rendered from the stored networks in the image's own pixels (of methods without
    networks the stored masks are enlarged). The contour is orange in round 0 and blue in round 1,
    ground-truth boxes are white.

    [bold]Examples[/] (after `xaipipe demo`)

      xaipipe show xaipipe-demo/out shapes-00001 --style blur --animate

      xaipipe show xaipipe-demo/out --where "score > .5" --sort minimal_area --top 6
    """
    reader, originals = pipeline.read(uri), results.Originals(root)
    chosen, some = parse_style(style), parse_areas(areas) if areas else None
    classes = None if target is None else _classes(reader, target)
    hits = _hits(reader, image_ids, where, classes, sort, reverse, top)
    names = _names(hits)

    def drawing(hit: results.Hit, side: int) -> results.Drawing:
        one = reader.explained(hit.id, hit.target)
        return results.Drawing(one, originals.open(one.row), side)

    to.mkdir(parents=True, exist_ok=True)
    paths = []
    for hit, name in zip(hits, names, strict=True) if animate else ():
        paths.append(to / f"{name}.webp")
        paths[-1].write_bytes(results.animate(drawing(hit, ANIMATED), chosen))
    if len(hits) == 1:
        whole = drawing(hits[0], results.LONGEST_SIDE)
        paths += save(whole, list(whole.pictures(some, chosen)), to, names[0])
    else:
        title = " · ".join([redacted(uri), *([where] if where else []), f"{len(hits)} images"])
        tiles = ((drawing(hit, SMALL), _note(sort, hit.value)) for hit in hits)
        for number, page in enumerate(results.contact_sheets(tiles, title, some, chosen), 1):
            paths.append(to / ("contact.png" if number == 1 else f"contact-{number}.png"))
            page.save(paths[-1])
    for path in paths:
        Console().print(str(path))


def save(
    drawing: results.Drawing, pictures: list[results.Picture], to: Path, name: str | None = None
) -> list[Path]:
    """Write the page and the single overlays; returns their paths, the page first."""
    name = name or file_name(drawing.one.id)
    to.mkdir(parents=True, exist_ok=True)
    paths = [to / f"{name}.png"]
    drawing.sheet(pictures).save(paths[0])
    for p in pictures:
        what = "heat" if p.area is None else f"area{p.area:g}"
        paths.append(to / f"{name}_restart{p.restart}_round{p.round}_{what}.png")
        p.image.save(paths[-1])
    return paths


def parse_style(text: str) -> images.Style:
    """One of the styles; RequestError otherwise."""
    for style in images.STYLES:
        if style == text:
            return style
    raise RequestError(f"--style {text}: expected one of {', '.join(images.STYLES)}")


def _hits(
    reader: pipeline.RunReader,
    ids: Sequence[str] | None,
    where: str | None,
    classes: Collection[int] | None,
    sort: str | None,
    reverse: bool,
    top: int,
) -> list[results.Hit]:
    if ids and (where or sort):
        raise RequestError("give either ids or --where and --sort, not both")
    if where or sort or (classes is not None and not ids):
        of_class = None if classes is None else f"target IN ({', '.join(map(str, classes))})"
        asked = " AND ".join(f"({text})" for text in (where, of_class) if text)
        hits = results.select(reader, asked or None, sort, reverse=reverse, top=top)
        if not hits:
            raise RequestError(f"--where {where!r}: no image of {reader.store.uri} is like that")
        return hits
    rows = [row for id_ in ids or reader.ids(top) for row in reader.images_of(id_)]
    if not rows:
        raise RequestError(f"{reader.store.uri}: no image is explained yet")
    if classes is not None and not (rows := [row for row in rows if row["target"] in classes]):
        raise RequestError(f"--target: not explained for {', '.join(ids or ())}")
    return [results.Hit(row["id"], row["target"], None) for row in rows]


def _classes(reader: pipeline.RunReader, text: str) -> list[int]:
    """Class indices by a name or an index; RequestError if no image is explained for it."""
    wanted = text.strip().casefold()
    rows = reader.images.to_table(columns=["target", "target_name"])
    classes = rows.group_by(["target", "target_name"]).aggregate([]).to_pylist()
    names = {row["target"]: row["target_name"] for row in classes}
    found = [k for k, name in names.items() if wanted in (str(k), name.casefold())]
    if not found:
        known = ", ".join(names[k] for k in sorted(names)[:10])
        raise RequestError(f"--target {text}: not explained here; explained are {known}")
    return found


def _names(hits: Sequence[results.Hit]) -> list[str]:
    """Of files: the ids, with the target where an id comes several times."""
    counts = Counter(hit.id for hit in hits)
    return [file_name(h.id + (f"_{h.target}" if counts[h.id] > 1 else "")) for h in hits]


def _note(sort: str | None, value: Any) -> str:
    if sort is None:
        return ""
    return f"{sort} {value:.3g}" if isinstance(value, float) else f"{sort} {value}"
