"""`xaipipe learn-start`: a start for optimisations, learnt from finished runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

import pipeline
from jobs.console import Console
from jobs.device import Device
from jobs.target import check_target
from pipeline import learning, starts

DEFAULTS = learning.LearnConfig()


def learn_start(
    runs: Annotated[
        list[str],
        typer.Argument(help="Outputs of finished runs: folders or URLs.", metavar="RUN..."),
    ],
    to: Annotated[Path, typer.Option(help="File of the start.", show_default=True)] = Path(
        "start.safetensors"
    ),
    root: Annotated[
        str | None, typer.Option(help="Folder that holds the images now, if they have moved.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N images of each run.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Times that every image is seen.")] = DEFAULTS.epochs,
    batch: Annotated[int, typer.Option(help="Images of a step.")] = DEFAULTS.batch,
    learning_rate: Annotated[
        float, typer.Option(help="Of AdamW at the beginning; it falls to 0.")
    ] = DEFAULTS.learning_rate,
    mosaics: Annotated[
        bool,
        typer.Option(
            "--mosaics/--no-mosaics",
            help="Also learn from 2 x 2 mosaics of the images, whose evidence lies in one cell.",
        ),
    ] = DEFAULTS.mosaics,
    held_out: Annotated[
        float, typer.Option(help="Share of the images that the figures are of.")
    ] = DEFAULTS.held_out,
    seed: Annotated[int, typer.Option(help="Of the weights and the order.")] = DEFAULTS.seed,
    device: Annotated[Device, typer.Option(help="Where it is done.")] = Device.cpu,
) -> None:
    """Learn from finished masks where to start: `run --start FILE` then begins nearer to them.

    A small network sees what the passes of the start show anyway (gradients and feature maps along
    the path from the baseline to the image) and gives one map, whose masks are to be those of the
    run (stochastic amortisation, 2401.15866). It knows how classifiers respond, not what images
    show, so runs of several classifiers teach it together, and it serves others, too. Each image
    costs as many passes of its classifier as a start: 8.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe learn-start xaipipe-demo/out --to start.safetensors
    """
    console = Console()
    config = learning.LearnConfig(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        mosaics=mosaics,
        held_out=held_out,
        seed=seed,
    )
    starts.check_start(str(to))
    check_target("--to", to)
    readers = [pipeline.read(uri) for uri in runs]
    lessons = []
    for reader in readers:
        own = learning.lessons_of(
            reader,
            root=root,
            limit=limit,
            mosaics=mosaics,
            device=device.value,
            report=lambda images: console.print(f"{images} images") if images % 100 == 0 else None,
        )
        left_out = f", {own.unreadable} could not be read" * bool(own.unreadable)
        console.print(f"{reader.store.uri}: {own.images} images{left_out}, {len(own)} lessons")
        lessons.append(own)
    learnt = learning.learn(lessons, config, console.print)
    starts.save_start(learnt.start, str(to))
    console.print(
        f"cross-entropy on {learnt.held_out} lessons held out: {learnt.before:.4f} as it was, "
        f"{learnt.after:.4f} learnt"
    )
    console.print(f"written: {to}; next: xaipipe run MANIFEST --start {shlex.quote(str(to))}")
