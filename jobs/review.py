"""`xaipipe review`: verdicts made on the page become a table of the run."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from jobs.console import Console
from pipeline import report, tables


def review(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    verdicts: Annotated[
        str, typer.Argument(help="The CSV that the page of `xaipipe report` lets you download.")
    ],
) -> None:
    """Add people's verdicts on regions and patterns to a run, as OUT/reviews/*.parquet.

    Several people's files add up; of several verdicts on one thing the last one stands. The run's
    own tables stay as they are. `pipeline.read(OUT).reviews` has the verdicts that stand, and so
    has the next page.

    Example: xaipipe review out verdicts.csv
    """
    run = tables.RunTables(uri)
    rows = report.read_verdicts(verdicts, run)
    name = tables.write_reviews(run.store, rows)
    counts = Counter(row["verdict"] for row in rows)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    Console().print(f"{said}: {run.store.uri}/{name}")
