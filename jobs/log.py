"""`--log-format json`: one JSON object a line, for those who read logs by machine.

Every line has `time` (UTC) and `event`: `message` (a `text` for people), `progress` (counts),
`note` (what workers have to say) and at the end, however it ended, `summary` with the `exit_code`.
"""

from __future__ import annotations

import functools
import inspect
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

import pipeline
from jobs.console import LOG, Console, plain
from jobs.endings import ending
from jobs.signatures import parameters, takes

EVERY_S = 5.0  # between two lines of progress
COUNTS = ("images", "done_before", "failed_before", "explained", "failed", "seconds")


class LogFormat(StrEnum):
    """Lines for people, or objects for machines."""

    text = "text"
    json = "json"


Option = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        help="Of what is printed: text, or json: one object a line, the last one a summary with "
        "the exit code.",
        rich_help_panel="Where it runs",
    ),
]


class JsonLog:
    """Writes the lines; `ended` collects what the summary says.

    summed_up  whether there has been a summary
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.ended: dict[str, Any] = {}
        self.summed_up = False

    def line(self, event: str, **fields: Any) -> None:
        """One object on stdout."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        said = {name: plain(v) if isinstance(v, str) else v for name, v in fields.items()}
        print(json.dumps({"time": now, "event": event, **said}), flush=True)

    def pass_on(self, lines: str) -> None:
        """Lines of another command's log."""
        print(lines, end="", flush=True)
        self.summed_up |= '"event": "summary"' in lines

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[pipeline.Progress], None]]:
        """Lines of progress every few seconds and at the end; the summary adds them up."""
        told, following, last = 0, 0.0, None

        def write(p: pipeline.Progress) -> None:
            nonlocal told, following, last
            for note in p.notes[told:]:
                self.line("note", text=note)
            told, last = len(p.notes), p
            done = p.done_before + p.explained + p.failed
            if time.monotonic() >= following or done == p.images:
                following = time.monotonic() + EVERY_S
                self.line("progress", doing=doing, **_figures(p))

        try:
            yield write
        finally:
            if last is not None:
                self.counts.update({name: getattr(last, name) for name in COUNTS})


def say_ended(console: Console, out: str, reasons: list[tuple[tuple[str, str], int]]) -> None:
    """For the summary: where the rows are, and ((stage, reason), images) of failures, most first.

    Of several runs the last one, and the most frequent reason of them all.
    """
    if console.json_log is None:
        return
    ended = console.json_log.ended
    ended["out"] = out
    if reasons:
        (stage, reason), count = reasons[0]
        if count > ended.get("most_frequent_failure", {}).get("images", 0):
            found = {"stage": stage, "reason": plain(reason), "images": count}
            ended["most_frequent_failure"] = found


def logged(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --log-format."""

    @functools.wraps(command)
    def wrapped(*, log_format: LogFormat, **given: Any) -> None:
        if log_format is LogFormat.text:
            command(**given)
        else:
            raise typer.Exit(_run_logged(command, given))

    keyword = inspect.Parameter.KEYWORD_ONLY
    option = inspect.Parameter("log_format", keyword, default=LogFormat.text, annotation=Option)
    return takes(wrapped, [*parameters(command), option])


def _figures(p: pipeline.Progress) -> dict[str, Any]:
    """Counts and rates, rounded; the notes have lines of their own."""
    found = {name: value for name, value in asdict(p).items() if name != "notes"}
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}


def _run_logged(command: Callable[..., None], given: dict[str, Any]) -> int:
    """Run a command under a log; the last line is its summary. Returns the exit code."""
    log = JsonLog()
    token = LOG.set(log)
    code, error = 0, None
    try:
        command(**given)
    except typer.Exit as end:
        code = end.exit_code
    except (Exception, KeyboardInterrupt) as raised:
        code, error = ending(raised)
    finally:
        LOG.reset(token)
    if log.summed_up:
        return code
    counts = {name: round(log.counts[name], 3) for name in COUNTS if log.counts}
    summary = {"command": command.__name__, "exit_code": code, "error": error}
    log.line("summary", **summary, **counts, **log.ended)
    return code
