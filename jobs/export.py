"""`xaipipe export`: masks for other tools."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

import pipeline
from jobs.console import Console
from jobs.options import parse_areas
from pipeline import RequestError
from pipeline import export as exports


def export(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    to: Annotated[
        str,
        typer.Option(
            help="coco (results with RLE), png (in the originals' pixels), hf (a Hugging Face "
            "dataset), csv (all numbers) or fiftyone (a FiftyOneDataset).",
            metavar="FORMAT",
        ),
    ],
    dest: Annotated[str, typer.Option(help="New folder for the files, or a URL.", metavar="PATH")],
    areas: Annotated[
        str | None,
        typer.Option(
            help="Stored areas to write, .05,.1; default: of every round the smallest that keeps "
            "90 % of the score, else the middle one (csv: all).",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only images for which this is true, in SQL; see `xaipipe show --help`.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(help="Folder or URL of the images, if they have moved.", show_default=False),
    ] = None,
) -> None:
    """Write masks in the format of another tool: the best restart of every round.

    Masks are rendered in the pixels of the upright originals; what the classifier did not see is 0.
    The images themselves are copied by hf and fiftyone; coco, png and csv name their paths.

    [bold]Examples[/] (after `xaipipe demo`)

      xaipipe export xaipipe-demo/out --to coco --dest coco

      xaipipe export xaipipe-demo/out --to hf --dest masks-hf --where "minimal_area < .15"
    """
    if to not in exports.FORMATS:
        raise RequestError(f"--to {to}: expected one of {', '.join(exports.FORMATS)}")
    selection = exports.Selection(
        pipeline.read(uri), where=where, areas=parse_areas(areas) if areas else None, root=root
    )
    console = Console()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("exporting", total=len(selection))
        exports.write_export(to, selection, dest, lambda: bar.advance(task))
    console.print(f"{len(selection)} images: {dest}")
