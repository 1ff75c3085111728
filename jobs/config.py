"""`xaipipe config`: the JSON schema of the job file, and a resolved job."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import typer

import pipeline
from jobs.console import Console
from jobs.options import descriptions, takes_job

if TYPE_CHECKING:
    from pipeline.job import Setting

config = typer.Typer(no_args_is_help=True)


@config.callback()
def _job_file() -> None:
    """Show the job file: `config schema` for editors, `config show` with the job as it would run.

    [bold]Example[/]

      xaipipe config show --preset fast
    """


@config.command()
def schema() -> None:
    """Print the JSON schema of the job file, with which editors complete and check it.

    A first line `# yaml-language-server: $schema=job.schema.json` names it to VS Code, Neovim and
    others.

    [bold]Example[/]

      xaipipe config schema > job.schema.json
    """
    print(json.dumps(pipeline.job_schema(descriptions()), indent=1))


@config.command()
@partial(takes_job, make=lambda *given: pipeline.settings_of(*given))  # imported when it is called
def show(settings: list[Setting]) -> None:
    """Print the resolved job, as a job file, with where each value comes from.

    [bold]Examples[/]

      xaipipe config show --config job.yaml --restarts 3

      xaipipe config show --preset fast
    """
    Console().print("\n".join(_lines(settings)))


def _lines(settings: list[Setting]) -> list[str]:
    """YAML with comments; sections by their indent."""
    rows: list[tuple[str, str]] = []
    opened: list[str] = []
    for one in settings:
        *sections, name = one.name.split(".")
        for depth, section in enumerate(sections):
            if opened[: depth + 1] != sections[: depth + 1]:
                rows.append((f"{'  ' * depth}{section}:", ""))
                opened = sections[: depth + 1]
        opened = sections
        value = json.dumps(one.value, ensure_ascii=False)  # which is YAML, too
        rows.append((f"{'  ' * len(sections)}{name}: {value}", f"# {one.origin}"))
    width = max(len(text) for text, comment in rows if len(text) < 60)
    return [f"{text:{width}}  {comment}".rstrip() for text, comment in rows]
