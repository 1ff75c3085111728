"""`xaipipe regions`: features, place and consequences of every kept region."""

from __future__ import annotations

from typing import Annotated

import typer

import pipeline
from jobs import analyses
from jobs.console import Console
from jobs.log import logged
from jobs.ranked import SHOWN, ranked
from jobs.terms import takes_terms
from pipeline import analysis
from pipeline import regions as regions_room

HEAD = {
    "images": "with ground truth",
    "score": "of the whole image",
    "object": "with the object alone shown",
    "context": "with the object perturbed",
    "nothing": "with everything perturbed",
    "context / score": "how much of it is left without the object",
}


@logged
@takes_terms
def regions(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    layer: Annotated[
        str | None,
        typer.Option(
            help="Layer whose output are the features (default: what the last linear layer gets).",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="State dict of the run's classifier, if it has moved.")
    ] = None,
    *,
    terms: analysis.AnalysisTerms,
) -> None:
    """Look at every kept region: its features, its place, and what the classifier sees without it.

    Rows lie in OUT/regions, one for each image, class and round; OUT/context says what is left of
    the score without the object, where the manifest has a `mask` or `bbox`. `xaipipe patterns` goes
    on from there.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe regions xaipipe-demo/out
    """
    console = Console()
    run = pipeline.read(uri)
    kind = regions_room.regions_of(run, layer=layer, weights=weights)
    failed = analyses.carry_out([analysis.Analysis(run, kind, terms)], console)
    show_context(pipeline.read(uri), console)
    console.print(f"what is alike in them: xaipipe patterns {uri}")
    if failed:
        raise typer.Exit(3)


def show_context(run: pipeline.RunReader, console: Console) -> None:
    """Classes by what is left of their score without their object; nothing without ground truth."""
    found = regions_room.context_by_class(run)
    if not found:
        return
    table = ranked("class", head=HEAD, of=len(found), rows="classes")
    for c in found[:SHOWN]:
        scores = (c.score, c.score_object, c.score_context, c.score_nothing, c.reliance)
        table.add_row(c.name, f"{c.images}", *(f"{score:.2f}" for score in scores))
    console.print(table)
