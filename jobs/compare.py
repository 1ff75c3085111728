"""`xaipipe compare`: masks of several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import pipeline
from jobs.console import Console
from jobs.evaluate import run_names
from jobs.show import parse_style
from jobs.target import check_target
from pipeline import RequestError, results


def compare(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    image_ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of images (default: the first that all runs explained)."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="The --out of another run on the same images; repeatable."),
    ] = None,
    area: Annotated[
        float, typer.Option(help="Area of the masks; one that methods without networks stored.")
    ] = 0.1,
    limit: Annotated[int, typer.Option(min=1, help="Images, where no ids are given.")] = 4,
    to: Annotated[Path, typer.Option(help="The PNG.", show_default=True)] = Path("compare.png"),
    style: Annotated[
        str, typer.Option(help="dim, outline, blur or heat; see `xaipipe show --help`.")
    ] = "dim",
    root: Annotated[
        str | None,
        typer.Option(help="Folder or URL of the images, if they have moved.", show_default=False),
    ] = None,
) -> None:
    """Draw runs as columns and images as rows, to be looked at beside the table of `evaluate`.

    What is kept is in colour, the rest grey, the contour orange, ground-truth boxes white. Below
    each picture stand the scores that its run stored for the mask. Images for which the runs
    explained different classes are left out.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe run xaipipe-demo/data/manifest.csv --model builtin:shapes --method centre --out centre

      xaipipe compare xaipipe-demo/out --against centre
    """
    check_target("--to", to)
    chosen, originals = parse_style(style), results.Originals(root)
    readers = {n: pipeline.read(u) for n, u in run_names([uri, *(against or [])]).items()}
    same, left_out = results.same_class(list(readers.values()), image_ids or None)
    console = Console()
    if left_out:
        console.print(f"left out {left_out} images of which the runs explain different classes")
    if not same:
        raise RequestError("the runs explain no class of any of these images in common")
    shown = same if image_ids else same[:limit]
    page = results.comparison(readers, shown, area, style=chosen, originals=originals)
    page.save(to)
    console.print(str(to))
