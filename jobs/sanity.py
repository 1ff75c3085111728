"""`xaipipe sanity`: whether explanations depend on what the classifier has learnt."""

from __future__ import annotations

import csv
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import pipeline
from jobs.console import Console
from jobs.finished import finished
from jobs.options import takes_job
from jobs.target import check_target
from pipeline import RequestError, classifiers, copies, results
from pipeline.job import EVERY_ROW
from pipeline.paths import all_redacted, redacted

DEPTHS = "0,.25,.5,.75,1"


@partial(takes_job, announce=True)
def sanity(
    job: pipeline.Job,
    depths: Annotated[
        str, typer.Option(help="Shares of the layers, from the top, that are drawn anew.")
    ] = DEPTHS,
    to: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="File for all values.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Also draw IoU against depth, as PNG.")
    ] = None,
) -> None:
    """Compare masks with those of a classifier whose layers were drawn anew, from the top.

    The model randomisation test (Adebayo et al. 2018): where the classifier has forgotten what it
    knew, an explanation that stays the same was not one of the classifier. A table shows the IoU
    of hard masks with those of the intact classifier, for its target: at depth 0 of the intact
    one, with the next seed; deeper, with the same seed, of copies. A method that ignores the
    classifier has 1 at every depth; `centre` is the IoU of its masks with discs in the middle,
    `chance` that of random masks. Options are those of `run`; without --out, masks are not kept.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe sanity xaipipe-demo/data/manifest.csv --model builtin:shapes --method gradcam
    """
    console = Console()
    shares = parse_depths(depths)
    check_target("--json", to)
    check_target("--plot", plot)
    if job.targets is not None:
        raise RequestError(f"--targets {job.targets}: one class an image is compared; leave it out")
    copies.check_copied(job.model)
    with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder:
        out = (job.out or f"{folder}/out").rstrip("/")
        intact, _, failed = finished(job, out, console)
        found = copies.Sanity.of(intact)
        again = job.model_copy(update=_explained(intact, Path(folder)))
        for depth in shares:
            console.print(f"depth {depth:g}")
            other = again.model_copy(update=_changed(job, depth, Path(folder)))
            run, _, more = finished(other, f"{out}-depth-{depth:g}", console)
            found.add(depth, run)
            failed += more
    head = f"{redacted(job.model)}, {job.method}: {intact.images.count_rows()} images"
    console.print(f"\n{head}, mean IoU and 95 % interval over images", style="bold")
    console.print(_table(found))
    if to is not None:
        about = {"model": job.model, "method": job.method, "seed": job.seed}
        text = json.dumps(all_redacted(about | found.values()), indent=1)
        to.write_text(text + "\n", encoding="utf-8")
    if plot is not None:
        results.draw_plots([found.plot(head)]).save(plot, "PNG")
    if failed and not job.accept_failures:
        raise typer.Exit(3)


def parse_depths(text: str) -> list[float]:
    """`0,.5,1` as numbers; RequestError otherwise."""
    try:
        depths = [float(part) for part in text.split(",")]
    except ValueError:
        depths = []
    if not depths or not all(0 <= depth <= 1 for depth in depths):
        raise RequestError(f"--depths {text}: expected shares from 0 to 1, as in {DEPTHS}")
    return sorted(set(depths))


def _explained(intact: pipeline.RunReader, folder: Path) -> dict[str, Any]:
    """What of a job makes it explain the same images for the same classes."""
    file = folder / "explained.csv"
    columns = ["id", "image", "target"]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(intact.images.to_table(columns=columns).to_pylist())
    given: dict[str, Any] = {"manifest": str(file), "targets": "label"}
    return {**EVERY_ROW, **given}


def _changed(job: pipeline.Job, depth: float, folder: Path) -> dict[str, Any]:
    """What of a job makes it explain the classifier with its top layers drawn anew."""
    if depth == 0:
        return {"seed": job.seed + 1}
    module = classifiers.load_module(job.model, job.weights).module
    copies.draw_anew(module, depth, job.seed)
    file = str(folder / f"depth-{depth:g}.pth")
    classifiers.save_weights(module, file)
    return {"weights": file}


def _table(found: copies.Sanity) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("depth", no_wrap=True)
    for column in (*(f"area {area:g}" for area in found.areas), "score"):
        table.add_column(column)
    for depth, one in found.depths.items():
        table.add_row(f"{depth:g}", *(str(one.interval(a)) for a in found.areas), str(one.score))
    table.add_row("centre", *(str(found.with_centre(area)) for area in found.areas))
    table.add_row("chance", *(results.in_short(copies.chance(area)) for area in found.areas))
    return table
