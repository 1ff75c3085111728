"""`xaipipe finetune`: a copy of a classifier that knows masked images."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from jobs.console import Console
from jobs.device import Device
from jobs.options import parse_select
from jobs.target import check_target
from pipeline import copies
from pipeline import manifest as manifests

DEFAULTS = copies.TuneConfig()


def finetune(
    manifest: Annotated[
        str, typer.Argument(help="Images with a `target` each, as for `run`.", metavar="MANIFEST")
    ],
    model: Annotated[str, typer.Option(help="Classifier, as for `run`.")],
    weights: Annotated[str | None, typer.Option(help="Its state dict.")] = None,
    preprocess: Annotated[
        str | None, typer.Option(help="Changes to its preprocessing: resize=224,crop=224.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="File of class names, as for `run`.")] = None,
    to: Annotated[
        Path, typer.Option(help="File of the copy's state dict.", show_default=True)
    ] = Path("copy.pth"),
    depth: Annotated[
        float, typer.Option(help="Share of the layers that learn, from the top.")
    ] = DEFAULTS.depth,
    epochs: Annotated[int, typer.Option(help="Times that every image is seen.")] = DEFAULTS.epochs,
    batch: Annotated[int, typer.Option(help="Images of a step.")] = DEFAULTS.batch,
    learning_rate: Annotated[
        float, typer.Option(help="Of AdamW at the beginning; it falls to 0.")
    ] = DEFAULTS.learning_rate,
    teacher: Annotated[
        bool,
        typer.Option(
            "--teacher/--no-teacher",
            help="What is learnt of a masked image: what the intact classifier says of the whole "
            "one, or its label, as published (for many images a class).",
        ),
    ] = DEFAULTS.teacher,
    least: Annotated[
        float, typer.Option(help="Smallest area that a mask leaves; the largest is 1.")
    ] = DEFAULTS.least,
    held_out: Annotated[
        float, typer.Option(help="Share of the images that accuracies are of.")
    ] = DEFAULTS.held_out,
    seed: Annotated[
        int, typer.Option(help="Of the images held out, the order and the masks.")
    ] = DEFAULTS.seed,
    root: Annotated[
        str | None, typer.Option(help="Base of relative image paths, if not the manifest's folder.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Only rows with COLUMN=VALUE; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N rows.")] = None,
    device: Annotated[Device, typer.Option(help="Where it is done.")] = Device.cpu,
) -> None:
    """Fine-tune a copy of a classifier with images behind random masks (F-Fidelity, 2410.02970).

    A score that falls where an image is masked may say no more than that such an image was never
    seen. Scores on a copy that has seen many, of random patches and blobs over blur and mean
    colour, do not have that excuse: give the file to `evaluate` or `measure`
    as --copy-weights. Only the top layers learn; accuracies before and after are of images held
    out.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe finetune xaipipe-demo/data/manifest.csv --model builtin:shapes --held-out .5
    """
    console = Console()
    config = copies.TuneConfig(
        depth=depth,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        teacher=teacher,
        least=least,
        held_out=held_out,
        seed=seed,
    )
    check_target("--to", to)
    copied = copies.Copied.of(model, weights, preprocess, labels, device.value)
    refs = list(
        manifests.Manifest(
            manifest,
            root=root,
            select=parse_select(select),
            limit=limit,
            classes=copied.classes,
            labelled=True,
        )
    )
    found = copies.tune(
        copied.module, refs, copied.preprocess, config, device=device.value, report=console.print
    )
    copied.save(to)
    for line in _lines(found):
        console.print(line)
    console.print(
        f"written: {to}; next: xaipipe evaluate OUT --copy-weights {shlex.quote(str(to))}"
    )


def _lines(found: copies.Tuned) -> list[str]:
    lines = [
        f"{found.layers} layers with {found.parameters:,} parameters have learnt from "
        f"{found.learnt} images",
        f"accuracy on {found.held_out} images held out: whole {found.before.whole:.3f}, then "
        f"{found.after.whole:.3f}; masked {found.before.masked:.3f}, then {found.after.masked:.3f}",
    ]
    if found.unreadable:
        lines.append(f"{found.unreadable} images could not be read and were left out")
    return lines
