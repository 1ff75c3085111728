"""`xaipipe measure`: one row of a comparison of methods."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

import pipeline
from jobs import analyses
from jobs.console import Console
from jobs.evaluate import COPY
from jobs.finished import finished
from jobs.metric_tables import SHOWN
from jobs.options import takes_job
from pipeline import RequestError, analysis, evaluation, results
from pipeline.paths import redacted
from pipeline.run import Request

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
    copy_weights: Annotated[str | None, typer.Option(help=COPY)] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="Also score over these baselines: weak_blur,telea (default: both), or none.",
            metavar="NAMES",
        ),
    ] = None,
    again: Annotated[
        int | None, typer.Option(help="Also explain with this seed, for the IoU over seeds.")
    ] = None,
    add: Annotated[
        bool,
        typer.Option(
            "--add",
            help="Add these images to the recorded row, whose end they follow (--skip).",
        ),
    ] = False,
    to: Annotated[Path, typer.Option(help="Folder of the rows.", show_default=True)] = ROWS,
) -> None:
    """Explain, evaluate, and record the metrics of every image as one row of a comparison.

    A row is a small Parquet file in the folder, with versions, settings, seeds and ids, so that
    adding one does not mean running all; `xaipipe table` prints them side by side. Options are
    those of `run`; without --out, masks are not kept. The processor seconds of an image are
    recorded where it is explained in this process (--workers 0). What takes days is measured in
    parts, on any machine: --limit 20 first, then --skip 20 --limit 20 --add, and so on.

    [bold]Examples[/] (the first two after `xaipipe demo`)

      xaipipe measure xaipipe-demo/data/manifest.csv --model builtin:shapes --limit 4 --to rows

      xaipipe measure xaipipe-demo/data/manifest.csv --model builtin:shapes --skip 4 --add --to rows

      xaipipe measure test.csv --model torchvision:resnet50 --method ep --set game=dual --row dual
    """
    console = Console()
    if judge is None and judge_weights is not None:
        raise RequestError("--judge-weights: name the classifier too, --judge torchvision:NAME")
    if again == job.seed:
        raise RequestError(f"--again {again}: is the run's own seed; name another one")
    filled = _filled(baselines, console)
    second, copy = _others(job, judge, judge_weights, copy_weights)
    evaluated = {
        "again": again,
        "baselines": list(filled),
        "judge": second and redacted(second.spec),
        "judge_weights": second and second.load().digest,
        "copy_weights": copy and copy.load().digest,
    }
    recorded = _empty(job, row, images, evaluated)
    earlier = _earlier(to / recorded.file, console) if add else None
    ids: set[str] = set()

    def look(request: Request) -> None:
        if earlier is not None:
            asked = {**recorded.about, "fingerprint": dict(request.fingerprint)}
            results.check_addition(earlier, asked)
        ids.update(ref.id for ref in request.manifest)

    with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder:
        out = job.out or f"{folder}/out"
        spent: list[float] = []
        reader, explained, failed = finished(job, out, console, spent, look)
        seconds = sum(spent) / explained if spent and explained else None
        repeats = []
        if again is not None:
            other = job.model_copy(update={"seed": again})
            repeats = [finished(other, f"{out}-seed{again}", console)[0]]
        kinds = evaluation.evaluations(
            reader, baselines=filled, judge=second, copy=copy_weights, repeats=repeats
        )
        works = [analysis.Analysis(reader, kind, _terms(job)) for kind in kinds]
        failed += analyses.carry_out(works, console)
        recorded = replace(
            recorded,
            about={**recorded.about, **results.about_run(reader), "cpu_seconds": seconds},
            table=_metrics(recorded.name, reader, works, ids),
        )
        if earlier is not None:
            recorded = results.added(earlier, recorded)
        count = results.count_images(recorded.table)
        console.print(f"recorded: {recorded.write(to)}, {count} image{'s' * (count != 1)}")
    if failed:
        raise typer.Exit(3)


def _filled(baselines: str | None, console: Console) -> tuple[str, ...]:
    """The baselines asked for; else all that can be made here, saying which cannot."""
    if baselines is not None:
        return evaluation.parse_baselines(baselines)
    found = evaluation.available()
    if "telea" not in found:
        console.print('telea left out: needs OpenCV, pip install "xaipipe[peers]"')
    return found


def _others(
    job: pipeline.Job, judge: str | None, judge_weights: str | None, copy_weights: str | None
) -> tuple[results.Model | None, results.Model | None]:
    """Judge and fine-tuned copy, looked at before anything runs."""
    own = results.Model(job.model, job.weights, job.preprocess, head=job.head)
    second = None
    if judge is not None:
        second = results.Model(judge, judge_weights, head=job.head)
        evaluation.check_judge(second, own)
    return second, None if copy_weights is None else evaluation.copy_of(own, copy_weights)


def _empty(
    job: pipeline.Job, row: str | None, images: str | None, evaluated: Mapping[str, Any]
) -> results.RecordedRow:
    """The row before anything is measured: its names, and how it is made again."""
    return results.RecordedRow(
        images=images or PurePosixPath(_first(job.manifest).rstrip("/")).stem,
        model=redacted(job.model),
        name=row or _name(job),
        about={
            **evaluated,
            "preset": job.preset if job.method == "inr" else None,
            "select": job.select,
            "skip": job.skip,
            "limit": job.limit,
        },
        table=results.SCHEMA.empty_table(),
    )


def _earlier(file: Path, console: Console) -> results.RecordedRow | None:
    """The row that is added to."""
    if file.exists():
        return results.read_row(file)
    console.print(f"{file}: there is no such row yet; this one begins it")
    return None


def _terms(job: pipeline.Job) -> analysis.AnalysisTerms:
    return analysis.AnalysisTerms(
        gpus=job.gpus, workers=job.workers, address=job.address, root=job.root
    )


def _first(manifest: str | tuple[str, ...]) -> str:
    return manifest if isinstance(manifest, str) else manifest[0]


def _name(job: pipeline.Job) -> str:
    return job.preset if job.method == "inr" and job.preset != "default" else job.method


def _metrics(
    name: str, reader: pipeline.RunReader, works: list[analysis.Analysis], ids: AbstractSet[str]
) -> Any:
    """The metrics that tables show, of those of the images that are explained."""
    common = [key for key in results.same_class([reader])[0] if key[0] in ids]
    asked = [table for work in works for table in work.kind.tables]
    return results.MetricsTable.of({name: reader}, common, asked).only(list(SHOWN)).table
