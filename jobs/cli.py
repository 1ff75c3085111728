"""The command line: commands, exit codes, and errors without tracebacks.

Exit codes: 0 everything explained; 2 the request is wrong (nothing was started); 3 finished, some
images failed; 1 stopped by an error; 130 interrupted (the same command resumes).
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from jobs.benchmark import benchmark
from jobs.compare import compare
from jobs.demo import demo
from jobs.evaluate import evaluate
from jobs.manifest import manifest
from jobs.models import models
from jobs.plan import plan
from jobs.report import report
from jobs.run import run
from jobs.show import show
from jobs.simulate import simulate
from jobs.status import status
from jobs.submit import submit
from pipeline import RequestError, RunError

app = typer.Typer(
    name="xaipipe",
    help="Explain what an image classifier looks at, for a whole dataset: masks into Parquet.",
    epilog="First steps: `xaipipe demo`, then `xaipipe run photos/ --model torchvision:resnet50 "
    "--out out`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"xaipipe {version('xaipipe')}")
        raise typer.Exit()


@app.callback()
def xaipipe(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """What applies to every command."""


for command in (
    run,
    plan,
    submit,
    status,
    show,
    compare,
    evaluate,
    report,
    benchmark,
    simulate,
    manifest,
    demo,
):
    app.command()(command)
app.add_typer(models, name="models")


def main() -> None:
    """Entry point of `xaipipe`."""
    signal.signal(signal.SIGTERM, _interrupt)
    errors = Console(stderr=True)
    try:
        app()
    except RequestError as error:
        _complain(errors, error)
        sys.exit(2)
    except RunError as error:
        _complain(errors, error)
        errors.print("What was committed stays; the same command goes on from there.")
        sys.exit(1)


def _complain(errors: Console, error: Exception) -> None:
    errors.print("[bold red]error:[/] ", end="")
    errors.print(str(error), markup=False, highlight=False, soft_wrap=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """A scheduler's SIGTERM ends a run like Ctrl-C: what was committed stays."""
    raise KeyboardInterrupt
