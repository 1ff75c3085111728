"""`xaipipe evaluate`: metrics of finished runs, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

import pipeline
from jobs import analyses
from jobs.console import Console
from jobs.log import logged
from jobs.metric_tables import report, summary
from jobs.target import check_target
from jobs.terms import takes_terms
from pipeline import RequestError, analysis, evaluation, results
from pipeline.paths import redacted

COPY = (
    "State dict of a copy of the run's classifier that was fine-tuned with masked images: scores "
    "on it (..._copy) do not fall for the strangeness of such images."
)


@logged
@takes_terms
def evaluate(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    against: Annotated[
        list[str] | None,
        typer.Option(help="The --out of another run on the same images; repeatable."),
    ] = None,
    repeat: Annotated[
        list[str] | None,
        typer.Option(help="The --out of one of these runs done again with another --seed."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Parquet file for all values (default: metrics.parquet beside OUT)."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the main metrics as one table in Markdown.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw the runs' scores against their perimeters, as PNG."),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="A second classifier that the masks were not made for.")
    ] = None,
    judge_weights: Annotated[str | None, typer.Option(help="Its state dict.")] = None,
    copy_weights: Annotated[str | None, typer.Option(help=COPY)] = None,
    baselines: Annotated[
        str,
        typer.Option(help="Also score over these baselines, of weak_blur,telea.", metavar="NAMES"),
    ] = "none",
    weights: Annotated[
        str | None, typer.Option(help="State dict of the runs' classifier, if it has moved.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N images that all runs explained.")
    ] = None,
    *,
    terms: analysis.AnalysisTerms,
) -> None:
    """Measure masks from the stored tables: faithfulness, localisation, areas, shape, stability.

    Every run has its metrics in OUT/metrics; the same command again measures only what is new.
    Several runs are compared on the images that all of them explained for the same class, with
    95 % intervals over images. Localisation needs a column `mask` or `bbox` in the
    manifest.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe evaluate xaipipe-demo/out --limit 1 --markdown table.md
    """
    console = Console()
    check_target("--markdown", markdown)
    check_target("--plot", plot)
    if judge is None and judge_weights is not None:
        raise RequestError("--judge-weights: name the classifier too, --judge torchvision:NAME")
    filled = evaluation.parse_baselines(baselines)
    readers = {name: pipeline.read(u) for name, u in run_names([uri, *(against or [])]).items()}
    repeats = [pipeline.read(u) for u in repeat or []]
    _check_repeats(readers, repeats)
    common, left_out = results.same_class([*readers.values(), *repeats])
    common = common[:limit]
    works = []
    for reader in readers.values():
        second = None
        if judge is not None:
            second = results.Model(judge, judge_weights, head=results.head_of(reader))
        again = [other for other in repeats if evaluation.is_repeat(reader, other)]
        kinds = evaluation.evaluations(
            reader,
            weights=weights,
            baselines=filled,
            judge=second,
            copy=copy_weights,
            repeats=again,
        )
        only = None if limit is None else {id_ for id_, _ in common}
        works += [analysis.Analysis(reader, kind, terms, only) for kind in kinds]
    failed = analyses.carry_out(works, console)
    asked = [table for work in works for table in work.kind.tables]
    table = results.MetricsTable.of(readers, common, list(dict.fromkeys(asked)))
    target = to or f"{next(iter(readers.values())).store.uri.rsplit('/', 1)[0]}/metrics.parquet"
    table.write(target)
    for line in alignment(readers, len(common), left_out, limit):
        console.print(line)
    report(table, console)
    if markdown is not None:
        markdown.write_text(summary(table), encoding="utf-8")
    if plot is not None:
        page = results.draw_plots([results.frontier_plot(table, ", ".join(readers))])
        page.save(plot, "PNG")
    console.print(f"all values: {target}")
    if failed:
        raise typer.Exit(3)


def run_names(uris: list[str]) -> dict[str, str]:
    """Short names of runs: the last part of their URI, the whole where that is not unique."""
    short = [PurePosixPath(u.rstrip("/")).name for u in uris]
    return {redacted(s if short.count(s) == 1 else u): u for s, u in zip(short, uris, strict=True)}


def _check_repeats(
    readers: dict[str, pipeline.RunReader], repeats: list[pipeline.RunReader]
) -> None:
    for again in repeats:
        if not any(evaluation.is_repeat(reader, again) for reader in readers.values()):
            raise RequestError(
                f"--repeat {again.store.uri}: differs from every run named here in more than its "
                "seed, or not even in that"
            )


def alignment(
    readers: dict[str, pipeline.RunReader], common: int, left_out: int, limit: int | None
) -> Iterator[str]:
    """What is compared, and what of each run is left out."""
    yield f"{common} images, mean and 95 % interval over images"
    for name, reader in readers.items() if limit is None else ():
        if rest := reader.images.count_rows() - common:
            yield f"left out of {name}: {rest} images not explained in all runs for the same class"
    if left_out:
        yield f"{left_out} of the images that all runs have are explained for different classes"
