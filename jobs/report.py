"""`xaipipe report`: one self-contained HTML page of a run."""

from __future__ import annotations

from typing import Annotated

import typer

import pipeline
from jobs.console import Console
from jobs.evaluate import run_names
from jobs.metric_tables import SHOWN, SUMMARY
from pipeline import report as report_page


def report(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="The HTML file, a path or URL (default: OUT.html beside OUT, report.html here if "
            "OUT is a URL).",
            show_default=False,
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=0, help="Images in the gallery, at the most.")] = 200,
    against: Annotated[
        list[str] | None,
        typer.Option(help="The --out of another run on the same images; repeatable."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Also show the main metrics of this file, which `xaipipe evaluate` writes.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="Where the images are now, if they have moved: a folder or URL with what lay in "
            "the run's --root, or beside its manifest.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write one HTML page to look at, to review or to mail.

    What was run, what the model needs, runs held against each other, and a gallery with filters
    and a slider for the area. The page needs nothing beside it, neither files nor network. Of a run
    with more images than --images it shows some, and says how they were chosen. Verdicts given on
    the page go back into the run by `xaipipe review`.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe report xaipipe-demo/out
    """
    reader = pipeline.read(uri)
    target = report_page.Target(to, reader.store.uri)
    meanings = {name: SHOWN[name].partition(";")[0] for name in SUMMARY}
    names = list(run_names([uri, *(against or [])]).items())[1:]
    others = {name: pipeline.read(other) for name, other in names}
    console = Console()
    with console.status(f"drawing up to {images} images"):
        page = report_page.report_html(
            reader, pictures=images, metrics=metrics, meanings=meanings, against=others, root=root
        )
    target.write(page)
    console.print(target.uri)
