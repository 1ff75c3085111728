"""`xaipipe patterns`: regions that are alike, and the cue list."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

import pipeline
from jobs.console import Console
from jobs.log import logged
from jobs.ranked import SHOWN, ranked
from pipeline import patterns as patterns_room

HEAD = {
    "images": "of the class that have it",
    "round": "in which it mostly comes",
    "kept": "score of the region alone",
    "outside": "share of it outside the object",
    "right": "accuracy on the images that have it, and on the others",
    "reliance": "score that its part outside the object holds alone, over all images of the class",
}


class By(StrEnum):
    """Whose images are held against each other."""

    target = "target"
    predicted = "predicted"


@logged
def patterns(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    by: Annotated[
        By, typer.Option(help="Images of the class that was explained, or of that predicted.")
    ] = By.target,
    wrong_only: Annotated[
        bool, typer.Option("--wrong-only", help="Only images that the classifier is wrong about.")
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Of the sample that is clustered where a class has over 5,000 regions."
        ),
    ] = 0,
) -> None:
    """Find which regions of a class are alike, and which of them tell the class without its object.

    The cue list: patterns by reliance, the score that what is not the object holds alone, over all
    images of the class. Needs `xaipipe regions`, and for the reliance a column `mask` or `bbox` in
    the manifest; without it the patterns come by how many images have them and what they keep.
    Figures lie in OUT/patterns, the rows of OUT/regions say which pattern they are of, and
    `xaipipe report` shows their pictures.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe regions xaipipe-demo/out

      xaipipe patterns xaipipe-demo/out
    """
    console = Console()
    run = pipeline.read(uri)
    config = patterns_room.PatternsConfig(by=by.value, wrong_only=wrong_only, seed=seed)
    with console.status("looking for regions that are alike"):
        found = patterns_room.find_patterns(run, config)
    for line in _facts(found, uri):
        console.print(line)
    if found.rows:
        console.print(cue_list(found))
    console.print(f"look at them: xaipipe report {uri}")


def _facts(found: patterns_room.Patterns, uri: str) -> Iterator[str]:
    yield (
        f"{len(found.rows)} patterns in {found.regions} regions; {found.alone} regions are like no "
        "others of their class"
    )
    if found.lacking:
        yield f"{found.lacking} explained images have no regions yet: xaipipe regions {uri}"


def cue_list(found: patterns_room.Patterns) -> Table:
    """The patterns on which their classes rely most without their being the object."""
    bold = f"bold: a reliance of at least {patterns_room.SUSPECT:g}"
    table = ranked("class", "#", head=HEAD, of=len(found.rows), rows="patterns", also=bold)
    for row in found.rows[:SHOWN]:
        suspect = row["reliance"] is not None and row["reliance"] >= patterns_room.SUSPECT
        table.add_row(
            row["target_name"],
            f"{row['pattern']}",
            f"{row['images']} ({row['share']:.0%})",
            f"{row['round']}",
            f"{row['score_kept']:.2f}",
            _percent(row["outside"]),
            f"{_percent(row['accuracy_with'])} / {_percent(row['accuracy_without'])}",
            "-" if row["reliance"] is None else f"{row['reliance']:.2f}",
            style="bold" if suspect else "",
        )
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
