"""Metrics of runs side by side, on a terminal and in Markdown."""

from __future__ import annotations

from statistics import fmean

from rich.table import Table

from jobs.console import Console
from pipeline import results

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
SCORES = tuple(
    f"{score}{over}"
    for over in ("", "_judge", "_copy", "_mean_colour", "_weak_blur", "_telea")
    for score in ("kept", "removed")
)
PAIRED = (*SCORES, "precision", "perimeter")  # differences to the first run
SUMMARY = (
    *SCORES,
    "precision",
    "pointing",
    "perimeter",
    "insertion",
    "deletion",
    "single_deletion",
    "single_deletion_copy",
)


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


def differences(table: results.MetricsTable) -> str:
    """Markdown: the first run minus each other one with 95 % intervals, a column per area."""
    first, *others = table.runs()
    lines: list[str] = []
    for metric in PAIRED if others else ():
        values = table.values(metric)
        if values and not lines:
            areas = [f"{area:g}" for area in values]
            lines += [f"| {first} minus | {' | '.join(areas)} |", "|---" * (len(areas) + 1) + "|"]
        for run in others:
            cells = [_difference(of_area, first, run) for of_area in values.values()]
            if set(cells) - {"-"}:
                lines.append(f"| {run}, {metric} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(metric: str, of_run: dict[str, float]) -> str:
    return str(results.interval(metric, of_run)) if of_run else "-"


def _difference(of_runs: dict[str, dict[str, float]], first: str, second: str) -> str:
    one, other = of_runs.get(first, {}), of_runs.get(second, {})
    if not one.keys() & other.keys():
        return "-"
    return str(results.difference(one, other))
