"""`xaipipe status`: how a run stands, from its output alone."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import pipeline
import pipeline.run
import pipeline.store
import pipeline.tables
from jobs.progress import clock


def status(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
) -> None:
    """Show progress, throughput and failures of a run, from its output alone.

    Works from any machine that can read the output, while the run goes on or afterwards.
    """
    reader = pipeline.tables.RunTables(uri)
    now = pipeline.run.Status.of(reader.folder)
    console, table = Console(), Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("run", f"{reader.fingerprint['model']} · {reader.fingerprint['method']}"),
        ("state", _state(now, reader)),
        ("images", f"{now.explained} explained, {now.failed} failed, {now.pending} to go"),
        ("throughput", _rate(now)),
        ("tables", ", ".join(f"{name} {rows}" for name, rows in now.rows.items())),
        ("size", f"{now.bytes / 1e6:.1f} MB in {now.shards} shards"),
    ):
        table.add_row(f"[bold]{name}[/]", value)
    console.print(table, highlight=False)
    for (stage, reason), count in reader.failure_reasons() if now.failed else []:
        console.print(f"  {count} x {stage}: {reason}", markup=False, highlight=False)


def _state(now: pipeline.run.Status, reader: pipeline.tables.RunTables) -> str:
    holder = pipeline.store.RunLock.holder(reader.store)
    if holder is not None and holder.alive:
        return f"running on {holder.host} (process {holder.pid}) since {holder.started}"
    if now.state is None or holder is not None:
        return "died; the same command goes on from here"
    when = datetime.fromtimestamp(now.ended).strftime("%Y-%m-%d %H:%M") if now.ended else ""
    return f"{now.state} {when}"


def _rate(now: pipeline.run.Status) -> str:
    if now.images_per_s is None:
        return "unknown: nothing is committed yet"
    left = f", {clock(now.pending / now.images_per_s)} left" if now.pending else ""
    ago = f", last commit {clock(time.time() - now.last_commit)} ago" if now.pending else ""
    return f"{now.images_per_s:.2f} images/s{left}{ago}"
