"""`xaipipe compare`: masks of several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import pipeline
from jobs.evaluate import common_ids, run_names
from jobs.target import check_target
from pipeline import results


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
) -> None:
    """Draw runs as columns and images as rows, to be looked at beside the table of `evaluate`.

    What is kept is in colour, the rest grey, the contour orange, ground-truth boxes white. Below
    each picture stand the scores that its run stored for the mask.
    """
    check_target("--to", to)
    readers = {n: pipeline.read(u) for n, u in run_names([uri, *(against or [])]).items()}
    ids = image_ids or common_ids(list(readers.values()))[:limit]
    results.comparison(readers, ids, area).save(to)
    Console().print(str(to), highlight=False, soft_wrap=True)
