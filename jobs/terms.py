"""The options of an analysis, shared by the commands that make one."""

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from jobs.options import parse_gpus
from jobs.signatures import parameters, takes
from pipeline import analysis

HOW, AGAIN = "Where it runs", "Running again"


def _options(
    gpus: Annotated[
        str | None,
        typer.Option(
            help="GPUs, a worker on each (default: all GPUs here); auto: as many as the cluster "
            "has, also those that come later.",
            metavar="N|auto",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="CPU workers, one thread each; 0 = in this process, without Ray (default: as for "
            "`run`; in this process where few images are pending).",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="A running Ray cluster (auto, HOST:PORT); default: one on this machine.",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds for a shard, as for `run`.", rich_help_panel=HOW, show_default=False
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL of the images, if they have moved.",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Also try again what failed before.", rich_help_panel=AGAIN
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Discard what this command has made before, with other settings.",
            rich_help_panel=AGAIN,
        ),
    ] = False,
) -> None:
    """On which terms an analysis is done."""


def takes_terms(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an analysis; its parameter `terms` receives them."""
    shared = parameters(_options)

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        asked = {one.name: given.pop(one.name) for one in shared}
        asked["gpus"] = parse_gpus(asked["gpus"])
        command(**given, terms=analysis.AnalysisTerms(**asked))

    own = [one for one in parameters(command) if one.name != "terms"]
    return takes(wrapped, [*own, *shared])
