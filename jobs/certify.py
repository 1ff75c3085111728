"""`xaipipe certify`: how often a prediction survives further reveals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

import pipeline
from jobs import analyses
from jobs.console import Console
from jobs.log import logged
from jobs.ranked import ranked
from jobs.terms import takes_terms
from pipeline import analysis
from pipeline import certificates as certificates_room

DEFAULTS = certificates_room.CertificateConfig()
HEAD = {
    "masks": "",
    "right": "share that alone make the classifier predict their class",
    "stays": "how often this prediction stays, mean over the masks that are right",
    "stable": "share of these with which it stays in at least {:.0%} of the samples",
}


@logged
@takes_terms
def certify(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    radius: Annotated[
        int, typer.Option(help="Patches that are revealed besides the mask, at the most.")
    ] = DEFAULTS.radius,
    patches: Annotated[
        int, typer.Option(help="Patches of an image, along each side.")
    ] = DEFAULTS.patches,
    error: Annotated[
        float, typer.Option(help="A mask's share lies this close to the true one, ...")
    ] = DEFAULTS.error,
    doubt: Annotated[float, typer.Option(help="... but for this probability.")] = DEFAULTS.doubt,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = DEFAULTS.seed,
    weights: Annotated[
        str | None, typer.Option(help="State dict of the run's classifier, if it has moved.")
    ] = None,
    *,
    terms: analysis.AnalysisTerms,
) -> None:
    """Measure how often the prediction of a mask alone survives when more of the image is shown.

    Of every stored mask of the best restart, random sets of up to --radius further patches are
    revealed, ln(2 / doubt) / (2 error^2) times (150 as it is); the share of them with which the
    prediction stays is the column `certified` of OUT/certificates. A mask whose prediction does not
    stay is not sufficient: it hides what speaks against the class.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe certify xaipipe-demo/out --error .2
    """
    console = Console()
    run = pipeline.read(uri)
    config = certificates_room.CertificateConfig(
        radius=radius, patches=patches, error=error, doubt=doubt, seed=seed
    )
    kind = certificates_room.certificates_of(run, config, weights=weights)
    failed = analyses.carry_out([analysis.Analysis(run, kind, terms)], console)
    if found := certificates_room.by_area(pipeline.read(uri)):
        console.print(_table(found))
    if failed:
        raise typer.Exit(3)


def _table(found: Sequence[certificates_room.AreaCertificates]) -> Table:
    head = {name: words.format(certificates_room.SURE) for name, words in HEAD.items()}
    table = ranked("round", "area", head=head, of=len(found), rows="rows")
    for c in found:
        shares = ("-" if s is None else f"{s:.0%}" for s in (c.right, c.certified, c.sure))
        table.add_row(f"{c.round}", f"{c.area:g}", f"{c.masks}", *shares)
    return table
