"""The commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.benchmark import benchmark
from jobs.certify import certify
from jobs.compare import compare
from jobs.config import config
from jobs.console import Console
from jobs.demo import demo
from jobs.diff import diff
from jobs.evaluate import evaluate
from jobs.export import export
from jobs.finetune import finetune
from jobs.learn_start import learn_start
from jobs.manifest import manifest
from jobs.measure import measure
from jobs.models import models
from jobs.patterns import patterns
from jobs.plan import plan
from jobs.regions import regions
from jobs.report import report
from jobs.review import review
from jobs.run import run
from jobs.sanity import sanity
from jobs.show import show
from jobs.simulate import simulate
from jobs.start import show_next
from jobs.status import Watchable, status
from jobs.submit import submit
from jobs.table import table

app = typer.Typer(
    name="xaipipe",
    help="Explain what an image classifier looks at, for a whole dataset: masks into Parquet.",
    epilog="First steps: `xaipipe demo`, then `xaipipe run photos/ --model torchvision:resnet50 "
    "--out out`.",
    invoke_without_command=True,
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
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """What applies to every command."""
    if context.invoked_subcommand is None:
        show_next(Console(), Path.cwd())


for command in (
    run,
    plan,
    submit,
    status,
    show,
    compare,
    evaluate,
    diff,
    regions,
    patterns,
    certify,
    report,
    export,
    review,
    measure,
    table,
    finetune,
    learn_start,
    sanity,
    benchmark,
    simulate,
    manifest,
    demo,
):
    app.command(cls=Watchable if command is status else None)(command)
app.add_typer(models, name="models")
app.add_typer(config, name="config")


def run_command() -> int:
    """What the command line asks for; returns the exit code."""
    app()  # raises SystemExit
    return 0
