"""`xaipipe diff`: two runs over the same images, of two versions of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated

import typer
from rich.table import Table

import pipeline
from jobs import analyses
from jobs.console import Console
from jobs.log import logged
from jobs.ranked import SHOWN, ranked
from jobs.terms import takes_terms
from pipeline import RequestError, analysis, results
from pipeline import diff as diffs

HEAD = {
    "images": "",
    "same": "share of images for which both predict the same class",
    "score": "of the whole image, a and b",
    "iou": "of the regions, at equal area",
    "a on b": "score that a gives to the region of b alone",
    "b on a": "score that b gives to the region of a alone",
    "outside": "share of the region outside the object, a and b",
    "moved": "from object to context: outside in b - outside in a",
}


@logged
@takes_terms
def diff(
    uri_a: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    uri_b: Annotated[
        str, typer.Argument(help="That of a run of another model over the same images.")
    ],
    out: Annotated[
        str | None,
        typer.Option(
            help="Parquet file for all rows (default: diff.parquet beside OUT_A).",
            show_default=False,
        ),
    ] = None,
    area: Annotated[
        float | None,
        typer.Option(
            help="Of the regions (default: the middle one that both runs stored).",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="State dict of the first classifier, if it has moved.")
    ] = None,
    weights_b: Annotated[str | None, typer.Option(help="That of the second one.")] = None,
    *,
    terms: analysis.AnalysisTerms,
) -> None:
    """Show what has changed between two models: predictions, regions, and what they lie on.

    Images are compared that both runs explained for the same class. The rows are kept in
    OUT_A/diff; `xaipipe report OUT_A --against OUT_B` shows them, too.

    [bold]Examples[/] (after `xaipipe demo`)

      xaipipe run xaipipe-demo/data/manifest.csv --model builtin:shapes --method centre --out centre

      xaipipe diff xaipipe-demo/out centre
    """
    console = Console()
    one, two = pipeline.read(uri_a), pipeline.read(uri_b)
    if one.store.uri == two.store.uri:
        raise RequestError(f"{uri_b}: is the same run; name one of another model")
    common, _ = results.same_class([one, two])
    kind = diffs.difference(one, two, area=area, weights=(weights, weights_b))
    work = analysis.Analysis(one, kind, terms, only={id_ for id_, _ in common})
    failed = analyses.carry_out([work], console)
    found = diffs.changed(pipeline.read(uri_a), two)
    if found is None:
        raise pipeline.RunError("no image could be compared; the reasons are above")
    target = out or f"{one.store.uri.rsplit('/', 1)[0]}/diff.parquet"
    results.write_table(target, found.table)
    names = [PurePosixPath(uri.rstrip("/")).name for uri in (uri_a, uri_b)]
    for line in alignment(found, names, kind.settings["area"]):
        console.print(line)
    console.print(classes(found))
    console.print(f"all rows: {target}")
    if failed:
        raise typer.Exit(3)


def alignment(found: diffs.Changed, names: list[str], area: float) -> Iterator[str]:
    """What is compared, and what is left out."""
    yield f"a: {names[0]}, b: {names[1]}; {found.common} images in common, regions of {area:.0%}"
    left = [
        (found.other, "explained for different classes"),
        (found.only_a, "only in a"),
        (found.only_b, "only in b"),
        (found.failed, "that could not be compared"),
    ]
    if parts := [f"{count} {what}" for count, what in left if count]:
        yield f"left out: {', '.join(parts)}"


def classes(found: diffs.Changed) -> Table:
    """A row for each class, the one first that has moved most."""
    table = ranked("class", head=HEAD, of=len(found.classes), rows="classes")
    for c in found.classes[:SHOWN]:
        table.add_row(
            c.name,
            f"{c.images}",
            f"{c.same:.0%}",
            f"{c.score_a:.2f} {c.score_b:.2f}",
            f"{c.iou:.2f}",
            f"{c.kept_a_on_b:.2f}",
            f"{c.kept_b_on_a:.2f}",
            "-" if c.moved is None else f"{c.outside_a:.2f} {c.outside_b:.2f}",
            "-" if c.moved is None else f"{c.moved:+.2f} (n {c.with_truth})",
        )
    return table
