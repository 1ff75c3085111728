"""`xaipipe status`: how a run stands, from its output alone."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

import pipeline
import pipeline.run
import pipeline.store
import pipeline.tables
from jobs.console import Console
from jobs.progress import clock

WATCH_S = 2.0  # between two looks


class Watchable(TyperCommand):
    """A command whose option --watch may come without its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the value there."""
        return super().parse_args(ctx, _with_seconds(args))


def status(
    uri: Annotated[str, typer.Argument(help="The --out of a run, a folder or URL.")],
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            min=0.1,
            help=f"Look again every so many seconds ({WATCH_S:g} if none are given), until the run "
            "has ended or you press Ctrl-C.",
            metavar="[SECONDS]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show progress, throughput and failures of a run, from its output alone.

    Works from any machine that can read the output, while the run goes on or afterwards.

    [bold]Examples[/] (after `xaipipe demo`)

      xaipipe status xaipipe-demo/out

      xaipipe status xaipipe-demo/out --watch 5
    """
    console = Console()
    redrawn = watch is not None and console.is_terminal
    live = Live(console=console, auto_refresh=False) if redrawn else None
    with suppress(*([] if watch is None else [KeyboardInterrupt])), live or nullcontext():
        while _show(uri, console, live) and watch is not None:
            time.sleep(watch)


def _show(uri: str, console: Console, live: Live | None) -> bool:
    """Draw or print how the run stands; returns whether it goes on."""
    table, lines, going = _look(uri)
    if live is not None:
        live.update(Group(table, *lines), refresh=True)
    else:
        for one in (table, *lines):
            console.print(one)
    return going


def _with_seconds(args: list[str]) -> list[str]:
    """A number behind every --watch that has none."""
    found: list[str] = []
    for argument in args:
        if found[-1:] == ["--watch"] and not _is_number(argument):
            found.append(f"{WATCH_S:g}")
        found.append(argument)
    return [*found, f"{WATCH_S:g}"] if found[-1:] == ["--watch"] else found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _look(uri: str) -> tuple[Table, list[str], bool]:
    """How the run stands, why images have failed, and whether it goes on."""
    reader = pipeline.tables.RunTables(uri)
    holder = pipeline.store.RunLock.holder(reader.store)
    now = pipeline.run.Status.of(reader.folder)
    classes = now.rows.get("images", now.explained)
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("run", f"{reader.fingerprint['model']} · {reader.fingerprint['method']}"),
        ("state", _state(now, holder)),
        ("images", f"{now.explained} explained, {now.failed} failed, {now.pending} to go"),
        *([("classes", f"{classes} explained, in all")] if classes != now.explained else []),
        *(
            [("missing", f"tables of {now.lost} images; run again to explain them")]
            * bool(now.lost)
        ),
        ("throughput", _rate(now)),
        ("tables", ", ".join(f"{name} {rows}" for name, rows in now.rows.items())),
        ("size", f"{now.bytes / 1e6:.1f} MB in {now.shards} shards"),
    ):
        table.add_row(Text(name, "bold"), value)
    reasons = reader.failure_reasons() if now.failed else []
    lines = [f"  {count} x {stage}: {reason}" for (stage, reason), count in reasons]
    return table, lines, holder is not None and holder.alive


def _state(now: pipeline.run.Status, holder: pipeline.store.Holder | None) -> str:
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
