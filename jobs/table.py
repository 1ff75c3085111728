"""`xaipipe table`: recorded rows of a comparison, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jobs.console import Console
from jobs.measure import ROWS
from jobs.metric_tables import SUMMARY, differences, report, summary
from jobs.ranks import ranks_in_markdown, show_ranks
from jobs.target import check_target
from pipeline import RequestError, results


def table(
    folder: Annotated[Path, typer.Argument(help="Folder of rows that `measure` recorded.")] = ROWS,
    images: Annotated[str | None, typer.Option(help="Only of this set of images.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this classifier.")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out this row: one of few images leaves few of all; repeatable.",
            metavar="ROW",
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option(help="Row that stands first: differences are to it.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(help="Also write the main metrics, differences and ranks in Markdown."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw scores against passes, and against perimeters, as PNG."),
    ] = None,
) -> None:
    """Print rows that `xaipipe measure` recorded: a table a metric, 95 % intervals over images.

    Rows of one classifier and one set of images are compared on the images that all of them have.
    Metrics disagree: at the end stand the ranks of the rows by each of the main ones, and Kendall's
    tau between these orders.

    [bold]Example[/]

      xaipipe table rows --first inr --markdown table.md --plot table.png
    """
    console = Console()
    check_target("--markdown", markdown)
    check_target("--plot", plot)
    rows = [
        row
        for row in results.read_rows(folder)
        if images in (None, row.images) and model in (None, row.model)
    ]
    if not rows:
        raise RequestError(f"{folder}: holds no row of these images and this classifier")
    for name in without or []:
        if name not in {row.name for row in rows}:
            raise RequestError(f"--without {name}: no such row; there are {_names(rows)}")
    rows = [row for row in rows if row.name not in (without or [])]
    if not rows:
        raise RequestError("--without: leaves no row")
    if first is not None and first not in {row.name for row in rows}:
        raise RequestError(f"--first {first}: no such row; there are {_names(rows)}")
    rows.sort(key=lambda row: row.name != first)
    texts, plots = [], []
    for group, shared in results.side_by_side(rows):
        images_shared = results.count_images(shared.table)
        head = f"{group[0].images}, {group[0].model}: {images_shared} images"
        console.print(f"\n{head}, mean and 95 % interval over images", style="bold")
        console.print(_about(group))
        if hint := _hint(group, images_shared):
            console.print(hint)
        report(shared, console)
        ranks = results.Ranks.of(shared, SUMMARY)
        show_ranks(ranks, console)
        parts = f"## {head}", summary(shared), differences(shared), ranks_in_markdown(ranks)
        texts.append("\n\n".join(part.rstrip("\n") for part in parts if part.strip()) + "\n")
        plots += [results.anytime_plot(group, shared, head), results.frontier_plot(shared, head)]
    if markdown is not None:
        markdown.write_text("\n".join(texts), encoding="utf-8")
    if plot is not None:
        results.draw_plots(plots).save(plot, "PNG")


def _names(rows: Sequence[results.RecordedRow]) -> str:
    return ", ".join(sorted({row.name for row in rows}))


def _hint(group: Sequence[results.RecordedRow], images: int) -> str | None:
    """How more images come into the table, where its shortest rows decide about them."""
    counts = {row.name: results.count_images(row.table) for row in group}
    least = min(counts.values())
    short = [name for name, count in counts.items() if count == least]
    rest = [row for row in group if row.name not in short]
    if len(rest) < 2:
        return None
    ((_, shared),) = results.side_by_side(rest)
    more = results.count_images(shared.table)
    left_out = " ".join(f"--without {name}" for name in short)
    return f"{left_out} would leave {more} images" if more > images else None


def _about(group: Sequence[results.RecordedRow]) -> Table:
    """What each row cost, and how many images it has."""
    shown = Table(box=None, padding=(0, 1, 0, 0), show_edge=False)
    for column in ("row", "images", "passes", "CPU s/image", "seed", "xaipipe", "torch"):
        shown.add_column(column, no_wrap=True)
    for row in group:
        seconds, versions = row.about["cpu_seconds"], row.about["versions"]
        shown.add_row(
            row.name,
            f"{results.count_images(row.table)}",
            f"{row.about['passes']}",
            "-" if seconds is None else f"{seconds:.3g}",
            f"{row.about['fingerprint']['seed']}",
            versions["xaipipe"] or "-",
            versions["torch"] or "-",
        )
    return shown
