"""`xaipipe simulate`: how a run scales with its workers, without classifier or GPU."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import pipeline.benchmark
from jobs.console import Console
from jobs.target import check_target
from pipeline import RequestError

_DEFAULT = pipeline.benchmark.SimulationConfig()


def simulate(
    context: typer.Context,
    gpus: Annotated[
        str, typer.Option(help="Numbers of workers, each with one GPU as Ray is told.")
    ] = "1,4,16",
    images: Annotated[int, typer.Option(help="Images of each worker.")] = _DEFAULT.images,
    seconds: Annotated[
        float, typer.Option(help="That a worker sleeps for an image.")
    ] = _DEFAULT.seconds,
    shard_size: Annotated[int, typer.Option(help="Images per shard.")] = _DEFAULT.shard_size,
    rows: Annotated[
        int | None, typer.Option(help="Measure planning and committing so many rows instead.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="File that receives the figures.")
    ] = None,
) -> None:
    """Measure how a run scales with its workers: all is real but these, which only sleep.

    They return tables of the usual size, which the driver commits to a temporary folder.
    `steady` counts from each worker's first commit to its last; `whole run` also has the start of
    Ray and of the workers in it, and the end, when some workers have nothing left to do. In
    brackets, how many times the rate of the run before.

    With --rows, no worker is started: how soon has a run of so many rows its first shard, in an
    empty folder and in one of which half is committed, and what does it take to commit a shard?

    [bold]Examples[/]

      xaipipe simulate --gpus 1,4 --images 64

      xaipipe simulate --rows 100000
    """
    console = Console()
    check_target("--json", json_)
    if rows is not None:
        _refuse_others(context)
        with console.status(f"{rows} rows"):
            found = pipeline.benchmark.measure_planning(rows, shard_size)
        _print_planning(found, console)
        _write(json_, asdict(found))
        return
    config = pipeline.benchmark.SimulationConfig(
        images=images, seconds=seconds, shard_size=shard_size
    )
    runs: list[pipeline.benchmark.Simulated] = []
    for workers in _numbers(gpus):
        with console.status(f"{workers} workers"):
            runs.append(pipeline.benchmark.simulate(workers, config))
    console.print(_table(runs))
    _write(json_, {"config": asdict(config), "runs": [asdict(run) for run in runs]})


def _write(file: Path | None, report: dict[str, Any]) -> None:
    if file is not None:
        file.write_text(json.dumps(report, indent=1))


def _refuse_others(context: typer.Context) -> None:
    for name in ("gpus", "images", "seconds"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise RequestError(f"--rows starts no workers: leave out --{name}, or --rows")


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise RequestError(f"--gpus {text}: expected numbers such as 1,4,16") from error
    if min(numbers) < 1:
        raise RequestError(f"--gpus {text}: expected at least one worker")
    return numbers


def _table(runs: list[pipeline.benchmark.Simulated]) -> Table:
    table = Table("workers", *(str(run.workers) for run in runs), box=None, pad_edge=False)
    for name, texts in {
        "images": [f"{r.images}" for r in runs],
        "steady images/s": _rates([r.steady for r in runs]),
        "of the sleep's own rate": [f"{r.steady / r.ideal:.1%}" for r in runs],
        "whole run images/s": _rates([r.whole for r in runs]),
        "every worker has committed": [f"after {r.ramp_up:.1f} s" for r in runs],
        "driver's CPU": [f"{r.driver_cpu:.1%} of a core" for r in runs],
        "driver's memory, first commit": [f"{r.memory_first / 1e6:.0f} MB" for r in runs],
        "driver's memory, most": [f"{r.memory_peak / 1e6:.0f} MB" for r in runs],
    }.items():
        table.add_row(name, *texts)
    return table


def _rates(rates: list[float]) -> list[str]:
    """Each with how many times the one before it is."""
    times = [f" ({rate / before:.2f} x)" for before, rate in pairwise(rates)]
    return [f"{rate:.1f}{more}" for rate, more in zip(rates, ["", *times], strict=True)]


def _print_planning(found: pipeline.benchmark.Planning, console: Console) -> None:
    """One table of the two processes that plan, a line each for the one that commits."""
    both = (found.empty, found.half)
    table = Table("run", "empty", "half committed", box=None, pad_edge=False)
    for name, texts in {
        "rows of the manifest": [f"{p.rows}" for p in both],
        "rows to explain": [f"{p.pending}" for p in both],
        "all imported after": [_when(p.imports) for p in both],
        "first shard ready after": [_when(p.first) for p in both],
        "last shard ready after": [_when(p.all) for p in both],
        "memory: all imported": [_memory(p.imports) for p in both],
        "memory: most": [_memory(p.all) for p in both],
    }.items():
        table.add_row(name, *texts)
    console.print(table)
    console.print("time: since its process began (computing); memory: private (with libraries)")
    for line in _committing(found):
        console.print(line)


def _when(moment: pipeline.benchmark.Moment) -> str:
    return f"{moment.seconds:.1f} s ({moment.processor:.1f} s)"


def _memory(moment: pipeline.benchmark.Moment) -> str:
    return f"{moment.private / 1e6:.0f} MB ({moment.resident / 1e6:.0f} MB)"


def _committing(found: pipeline.benchmark.Planning) -> list[str]:
    c = found.committing
    lines = [
        f"commit of a shard of {c.full_bytes / c.full / 1e6:.1f} MB, mean of {c.full}: "
        f"{c.full_seconds / c.full:.3f} s ({c.full_processor / c.full:.3f} s)",
        f"all {found.shards} shards of {found.shard_size} images, computed from it: "
        f"{found.commits:.0f} s",
    ]
    if c.small:
        lines.append(
            f"commit of a shard with tables of one image, mean of {c.small}: "
            f"{c.small_seconds / c.small:.3f} s"
        )
    return lines
