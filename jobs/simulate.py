"""`xaipipe simulate`: how a run scales with its workers, without classifier or GPU."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline import RequestError
from pipeline.simulation import Simulated, SimulationConfig
from pipeline.simulation import simulate as simulated

_DEFAULT = SimulationConfig()


def simulate(
    gpus: Annotated[
        str, typer.Option(help="Numbers of workers, each with one GPU as Ray is told.")
    ] = "1,4,16",
    images: Annotated[int, typer.Option(help="Images of each worker.")] = _DEFAULT.images,
    seconds: Annotated[
        float, typer.Option(help="That a worker sleeps for an image.")
    ] = _DEFAULT.seconds,
    shard_size: Annotated[int, typer.Option(help="Images per shard.")] = _DEFAULT.shard_size,
    json_: Annotated[
        Path | None, typer.Option("--json", help="File that receives the figures.")
    ] = None,
) -> None:
    """Measure how a run scales with its workers: all is real but these, which only sleep.

    They return tables of the usual size, which the driver commits to a temporary folder.
    `steady` counts from each worker's first commit to its last; `whole run` also has the start of
    Ray and of the workers in it, and the end, when some workers have nothing left to do. In
    brackets, how many times the rate of the run before.
    """
    console = Console()
    config = SimulationConfig(images=images, seconds=seconds, shard_size=shard_size)
    runs: list[Simulated] = []
    for workers in _numbers(gpus):
        with console.status(f"{workers} workers"):
            runs.append(simulated(workers, config))
    console.print(_table(runs), highlight=False)
    if json_ is not None:
        report = {"config": asdict(config), "runs": [asdict(run) for run in runs]}
        json_.write_text(json.dumps(report, indent=1))


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise RequestError(f"--gpus {text}: expected numbers such as 1,4,16") from error
    if min(numbers) < 1:
        raise RequestError(f"--gpus {text}: expected at least one worker")
    return numbers


def _table(runs: list[Simulated]) -> Table:
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
