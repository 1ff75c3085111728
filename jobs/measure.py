"""`xaipipe measure`: one row of a comparison of methods."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

import pipeline
import pipeline.benchmark
import pipeline.run
from jobs import analyses
from jobs.console import Console
from jobs.evaluate import SHOWN
from jobs.options import takes_job
from jobs.progress import progress
from pipeline import RequestError, analysis, evaluation, results
from pipeline.paths import redacted

ROWS = Path(".github/results")  # of this repository's own comparisons


@partial(takes_job, announce=True)
def measure(
    job: pipeline.Job,
    row: Annotated[
        str | None, typer.Option(help="Name of the row (default: the method, or the preset).")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Name of the set of images (default: the manifest's).")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="A second classifier that the masks were not made for.")
    ] = None,
    judge_weights: Annotated[str | None, typer.Option(help="Its state dict.")] = None,
    again: Annotated[
        int | None, typer.Option(help="Also explain with this seed, for the IoU over seeds.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder of the rows.", show_default=True)] = ROWS,
) -> None:
    """Explain, evaluate, and record the metrics of every image as one row of a comparison.

    A row is a small Parquet file in the folder, with versions, settings, seeds and ids, so that
    adding one does not mean running all; `xaipipe table` prints them side by side. Options are
    those of `run`; without --out, masks are not kept. The processor seconds of an image are
    recorded where it is explained in this process (--workers 0).

    [bold]Examples[/] (the first one after `xaipipe demo`)

      xaipipe measure xaipipe-demo/data/manifest.csv --model builtin:shapes --method start --to rows

      xaipipe measure test.csv --model torchvision:resnet50 --method ep --set game=dual --row dual
    """
    console = Console()
    if judge is None and judge_weights is not None:
        raise RequestError("--judge-weights: name the classifier too, --judge torchvision:NAME")
    if again == job.seed:
        raise RequestError(f"--again {again}: is the run's own seed; name another one")
    with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder:
        out = job.out or f"{folder}/out"
        reader, seconds, failed = _explained(job, out, console)
        repeats = []
        if again is not None:
            other = job.model_copy(update={"seed": again})
            repeats = [_explained(other, f"{out}-seed{again}", console)[0]]
        terms = analysis.AnalysisTerms(
            gpus=job.gpus, workers=job.workers, address=job.address, root=job.root
        )
        second = None
        if judge is not None:
            second = results.Model(judge, judge_weights, head=results.head_of(reader))
        kinds = evaluation.evaluations(reader, judge=second, repeats=repeats)
        works = [analysis.Analysis(reader, kind, terms) for kind in kinds]
        failed += analyses.carry_out(works, console)
        recorded = results.RecordedRow(
            images=images or PurePosixPath(_first(job.manifest).rstrip("/")).stem,
            model=redacted(job.model),
            name=row or _name(job),
            about=_about(job, reader, second, again) | {"cpu_seconds": seconds},
            table=_metrics(row or _name(job), reader, works),
        )
        console.print(f"recorded: {recorded.write(to)}")
    if failed:
        raise typer.Exit(3)


def _first(manifest: str | tuple[str, ...]) -> str:
    return manifest if isinstance(manifest, str) else manifest[0]


def _explained(
    job: pipeline.Job, out: str, console: Console
) -> tuple[pipeline.RunReader, float | None, int]:
    """The finished run, the processor seconds of an image where they are known, and failures."""
    spent: list[float] = []
    with pipeline.run.prepared(job.model_copy(update={"out": out})) as request:
        workers = pipeline.benchmark.clocked(request, spent)
        with progress(console) as report:
            summary = pipeline.run.run(request, report, workers)
    seconds = sum(spent) / summary.explained if spent and summary.explained else None
    return pipeline.read(out), seconds, summary.failed + summary.failed_before


def _name(job: pipeline.Job) -> str:
    return job.preset if job.method == "inr" and job.preset != "default" else job.method


def _metrics(name: str, reader: pipeline.RunReader, works: list[analysis.Analysis]) -> Any:
    """The metrics that tables show, of all explained images."""
    common, _ = results.same_class([reader])
    asked = [table for work in works for table in work.kind.tables]
    return results.MetricsTable.of({name: reader}, common, asked).only(list(SHOWN)).table


def _about(
    job: pipeline.Job, reader: pipeline.RunReader, judge: results.Model | None, again: int | None
) -> dict[str, Any]:
    """How the row is made again, but for its files."""
    return results.about_run(reader) | {
        "preset": job.preset if job.method == "inr" else None,
        "select": job.select,
        "limit": job.limit,
        "judge": judge and redacted(judge.spec),
        "judge_weights": judge and judge.load().digest,
        "again": again,
    }
