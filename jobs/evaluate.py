"""`xaipipe evaluate`: metrics of finished runs, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Annotated

import typer
from rich.table import Table

import pipeline
from jobs import analyses
from jobs.console import Console
from jobs.log import logged
from jobs.target import check_target
from jobs.terms import takes_terms
from pipeline import RequestError, analysis, evaluation, results
from pipeline.paths import redacted

SHOWN = {  # metric -> what a reader should know about it
    "kept": "score with the hard mask kept, the rest blurred; below: first run minus others",
    "kept_judge": "the same on the second classifier",
    "kept_copy": "the same on the copy that was fine-tuned with masked images (F-Fidelity)",
    "removed": "score with the hard mask blurred (lower is better)",
    "removed_judge": "the same on the second classifier",
    "removed_copy": "the same on the fine-tuned copy",
    "kept_mean_colour": "kept, with the mean colour as baseline, which no method saw",
    "removed_mean_colour": "removed, likewise (lower is better)",
    "kept_weak_blur": "kept, with a blur a third as strong",
    "removed_weak_blur": "removed, likewise (lower is better)",
    "kept_telea": "kept, the rest inpainted from what is kept (Telea)",
    "removed_telea": "removed and inpainted from around it (lower is better)",
    "kept_soft": "kept, with the soft mask",
    "insertion": "area under the insertion curve (higher is better)",
    "deletion": "area under the deletion curve (lower is better)",
    "single_deletion": "rank correlation of 16 patches' ranks with the logit's fall without each",
    "single_deletion_copy": "the same on the fine-tuned copy, which knows such images (IDSDS)",
    "minimal_area": "smallest stored area that keeps 90 % of the score, where one does",
    "precision": "share of the hard mask on the object",
    "chance": "precision of a random mask: the object's share of the image",
    "pointing": "peak within 15 px (of 224) of the object",
    "context": "share of the soft mask outside the object",
    "perimeter": "outline of the hard mask, also at the border, over that of the disc of its area",
    "components": "connected parts of at least 0.1 % of the image",
    "area_error": "|mean(mask) - area|",
    "area_error_unseen": "the same, the worst of areas trained on and not",
    "nestedness": "share of a mask that the next larger one contains, stored areas",
    "nestedness_unseen": "the same over areas trained on and not",
    "path_ratio": "1 if no pixel ever decreases as the area grows, stored areas",
    "path_ratio_unseen": "the same over areas trained on and not",
    "seed_iou": "IoU of the best restarts of runs with different seeds (--repeat)",
    "restart_iou": "IoU of the hard masks of different restarts",
    "round_overlap": "overlap of the soft masks of different rounds",
}
PAIRED = tuple(  # differences to the first run
    f"{score}{over}"
    for over in ("", "_judge", "_copy", "_mean_colour", "_weak_blur", "_telea")
    for score in ("kept", "removed")
)
SUMMARY = (
    *PAIRED,
    "precision",
    "pointing",
    "perimeter",
    "insertion",
    "deletion",
    "single_deletion",
    "single_deletion_copy",
)

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


def report(table: results.MetricsTable, console: Console) -> None:
    """One table per metric: a line per run, a column per area."""
    runs = table.runs()
    for metric, meaning in SHOWN.items():
        values = table.values(metric)
        if not values:
            continue
        shown = Table(box=None, padding=(0, 1, 0, 0), title_justify="left", show_edge=False)
        shown.add_column(metric, no_wrap=True)
        for area in values:
            shown.add_column("" if area is None else f"{area:g}", no_wrap=True)
        for run in runs:
            cells = [_interval(metric, of_area.get(run, {})) for of_area in values.values()]
            shown.add_row(run, *cells)
        if metric in PAIRED:
            for run in runs[1:]:
                cells = [_difference(of_area, runs[0], run) for of_area in values.values()]
                shown.add_row(f"- {run}", *cells, style="dim")
        console.print(f"\n{metric}: {meaning}", style="bold")
        console.print(shown)


def summary(table: results.MetricsTable) -> str:
    """Markdown: a row per run, a column per main metric, its mean at every area."""
    values = {metric: table.values(metric) for metric in SUMMARY}
    metrics = [metric for metric, found in values.items() if found]
    lines = [f"| method | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
    for run in table.runs():
        cells = []
        for metric in metrics:
            found = [of_area.get(run) for of_area in values[metric].values()]
            cells.append(" ".join(results.in_short(fmean(v.values())) if v else "-" for v in found))
        lines.append(f"| {run} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(metric: str, of_run: dict[str, float]) -> str:
    return str(results.interval(metric, of_run)) if of_run else "-"


def _difference(of_runs: dict[str, dict[str, float]], first: str, second: str) -> str:
    one, other = of_runs.get(first, {}), of_runs.get(second, {})
    if not one.keys() & other.keys():
        return "-"
    return str(results.difference(one, other))
