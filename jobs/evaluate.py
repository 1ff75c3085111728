"""`xaipipe evaluate`: metrics of finished runs, side by side."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pipeline
from jobs.target import check_target
from pipeline import RequestError, classifiers, results, tables

SHOWN = {  # metric -> what a reader should know about it
    "kept": "score with the hard mask kept, the rest blurred; below: first run minus others",
    "kept_judge": "the same on the second classifier",
    "removed": "score with the hard mask blurred (lower is better)",
    "removed_judge": "the same on the second classifier",
    "kept_mean_colour": "kept, with the mean colour as baseline",
    "kept_soft": "kept, with the soft mask",
    "insertion": "area under the insertion curve (higher is better)",
    "deletion": "area under the deletion curve (lower is better)",
    "minimal_area": "smallest stored area that keeps 90 % of the score, where one does",
    "precision": "share of the hard mask on the object",
    "chance": "precision of a random mask: the object's share of the image",
    "pointing": "peak within 15 px (of 224) of the object",
    "context": "share of the soft mask outside the object",
    "perimeter": "outline of the hard mask over that of the disc of equal area",
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
PAIRED = ("kept", "removed", "kept_judge", "removed_judge")  # differences to the first run
SUMMARY = ("kept", "removed", "kept_judge", "removed_judge", "precision", "pointing", "perimeter")
Values = dict[tuple[str, float | None], dict[str, dict[str, float]]]  # key -> run -> id -> value


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
    weights: Annotated[
        str | None, typer.Option(help="State dict of the runs' classifier, if it has moved.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
) -> None:
    """Measure masks from the stored tables: faithfulness, localisation, areas, shape, stability.

    Several runs are compared on the images that all of them explained, with 95 % bootstrap
    intervals over images. Localisation needs a column `mask` or `bbox` in the manifest.
    """
    console = Console()
    check_target("--markdown", markdown)
    check_target("--plot", plot)
    readers = {name: pipeline.read(u) for name, u in run_names([uri, *(against or [])]).items()}
    repeats = [pipeline.read(u) for u in repeat or []]
    evaluations = _evaluations(readers, repeats, weights, judge, judge_weights)
    ids = common_ids([*readers.values(), *repeats])[:limit]
    rows: list[dict[str, Any]] = []
    for id_ in track(ids, "measuring", console=console, disable=not console.is_terminal):
        for evaluation in evaluations:
            rows.extend(evaluation.rows(id_))
    target = to or f"{next(iter(readers.values())).store.uri.rsplit('/', 1)[0]}/metrics.parquet"
    results.write_metrics(target, rows)
    report(rows, len(ids), console)
    if markdown is not None:
        markdown.write_text(summary(rows), encoding="utf-8")
    if plot is not None:
        results.draw_frontier(results.points_of(rows)).save(plot, "PNG")
    console.print(f"all values: {target}", highlight=False, soft_wrap=True)


def run_names(uris: list[str]) -> dict[str, str]:
    """Short names of runs: the last part of their URI, the whole where that is not unique."""
    short = [PurePosixPath(u.rstrip("/")).name for u in uris]
    return {s if short.count(s) == 1 else u: u for s, u in zip(short, uris, strict=True)}


def _evaluations(
    readers: dict[str, pipeline.RunReader],
    repeats: list[pipeline.RunReader],
    weights: str | None,
    judge: str | None,
    judge_weights: str | None,
) -> list[results.Evaluation]:
    if judge is None and judge_weights is not None:
        raise RequestError("--judge-weights: name the classifier too, --judge torchvision:NAME")
    for again in repeats:
        if not any(tables.is_repeat(reader, again) for reader in readers.values()):
            raise RequestError(
                f"--repeat {again.store.uri}: differs from every run named here in more than its "
                "seed, or not even in that"
            )
    other = classifiers.load_classifier(judge, weights=judge_weights) if judge is not None else None
    return [
        results.Evaluation(
            name,
            reader,
            results.classifier_of(reader, weights),
            other,
            [again for again in repeats if tables.is_repeat(reader, again)],
        )
        for name, reader in readers.items()
    ]


def common_ids(readers: list[pipeline.RunReader]) -> list[str]:
    """Ids that all runs have explained, sorted; RequestError if there is none."""
    sets = [set(r.images.to_table(columns=["id"])["id"].to_pylist()) for r in readers]
    ids = sorted(set.intersection(*sets))
    if not ids:
        where = ", ".join(reader.store.uri for reader in readers)
        raise RequestError(f"no image was explained in all of: {where}")
    return ids


def collect(rows: list[dict[str, Any]]) -> Values:
    """Values by (metric, area), run and image."""
    values: Values = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        values[row["metric"], row["area"]][row["run"]][row["id"]] = row["value"]
    return values


def report(rows: list[dict[str, Any]], images: int, console: Console) -> None:
    """One table per metric: a line per run, a column per area."""
    values = collect(rows)
    runs = list(dict.fromkeys(row["run"] for row in rows))
    console.print(f"{images} images, mean and 95 % interval over images", highlight=False)
    for metric, meaning in SHOWN.items():
        areas = sorted({a for m, a in values if m == metric}, key=lambda a: a or 0)
        if not areas:
            continue
        table = Table(box=None, padding=(0, 1, 0, 0), title_justify="left", show_edge=False)
        table.add_column(metric, no_wrap=True)
        for area in areas:
            table.add_column("" if area is None else f"{area:g}", no_wrap=True)
        for run in runs:
            cells = [_interval(values[metric, area].get(run, {})) for area in areas]
            table.add_row(run, *cells)
        if metric in PAIRED:
            for run in runs[1:]:
                cells = [_difference(values[metric, area], runs[0], run) for area in areas]
                table.add_row(f"- {run}", *cells, style="dim")
        console.print(f"\n[bold]{metric}[/]: {meaning}", highlight=False)
        console.print(table)


def summary(rows: list[dict[str, Any]]) -> str:
    """Markdown: a row per run, a column per main metric, its mean at every area."""
    values = collect(rows)
    metrics = [m for m in SUMMARY if any(key[0] == m for key in values)]
    lines = [f"| method | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
    for run in dict.fromkeys(row["run"] for row in rows):
        cells = []
        for metric in metrics:
            areas = sorted((a for m, a in values if m == metric), key=lambda a: a or 0)
            found = [values[metric, a].get(run) for a in areas]
            cells.append(" ".join(_short(results.interval(v).mean) if v else "-" for v in found))
        lines.append(f"| {run} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(of_run: dict[str, float]) -> str:
    if not of_run:
        return "-"
    found = results.interval(of_run)
    return f"{_short(found.mean)} [{_short(found.low)} {_short(found.high)}]"


def _difference(of_runs: dict[str, dict[str, float]], first: str, second: str) -> str:
    one, other = of_runs.get(first, {}), of_runs.get(second, {})
    if not one.keys() & other.keys():
        return "-"
    found = results.difference(one, other)
    return f"{_short(found.mean)} [{_short(found.low)} {_short(found.high)}]"


def _short(value: float) -> str:
    """Two digits without the leading zero: .12, -.05, 1.36; errors of areas as powers of ten."""
    if 0 < abs(value) < 0.0005:
        return f"{value:.0e}"
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text
