"""`xaipipe report`: one self-contained HTML page of a run."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

import pipeline
from jobs.evaluate import SHOWN, SUMMARY
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
    images: Annotated[int, typer.Option(min=0, help="Images in the gallery.")] = 12,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Also show the main metrics of this file, which `xaipipe evaluate` writes.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write one HTML page to look at or to mail: settings, curves, tables by class, a gallery.

    The page needs nothing beside it, neither files nor network. Scores are those in the tables;
    the gallery shows the images whose masks keep the least, a middling and the most score.
    """
    reader = pipeline.read(uri)
    target = report_page.Target(to, reader.store.uri)
    meanings = {name: SHOWN[name].partition(";")[0] for name in SUMMARY}
    target.write(
        report_page.report_html(reader, pictures=images, metrics=metrics, meanings=meanings)
    )
    Console().print(target.uri, highlight=False, soft_wrap=True, markup=False)
