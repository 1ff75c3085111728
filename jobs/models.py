"""`xaipipe models`: the kinds of classifiers, and one of them looked at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from jobs.console import Console
from jobs.progress import clock
from pipeline import ImageError, RequestError, classifiers

if TYPE_CHECKING:
    from inr_core import Head

models = typer.Typer(help="List the kinds of classifiers, or look at one: `models check SPEC`.")
IMAGES = 1000  # of the run whose time is told


@models.callback(invoke_without_command=True)
def kinds(context: typer.Context) -> None:
    """List the kinds of classifiers that --model takes, and whether their libraries are there.

    [bold]Examples[/]

      xaipipe models

      xaipipe models check builtin:shapes --image photo.jpg
    """
    if context.invoked_subcommand is not None:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("--model", no_wrap=True)
    for heading in ("is", "needs"):
        table.add_column(heading)
    for kind in classifiers.KINDS:
        found = kind.installed()
        remedy = f'pip install "xaipipe[{kind.extra}]"' if kind.extra else "pip install"
        state = f"{found}, installed" if found else f"not installed: {remedy}"
        cells = (kind.example, kind.what, f"{kind.library or 'torch'} {state}")
        table.add_row(*cells)
    console = Console()
    console.print(table)
    console.print("look at one: xaipipe models check SPEC --image x.jpg")


@models.command()
def check(
    spec: Annotated[str, typer.Argument(help="A classifier, KIND:NAME.")],
    image: Annotated[str, typer.Option(help="An image to classify, a path or URL.")],
    weights: Annotated[str | None, typer.Option(help="Its state dict.")] = None,
    preprocess: Annotated[
        str | None, typer.Option(help="Changes to its preprocessing: resize=224,crop=224.")
    ] = None,
    head: Annotated[
        str, typer.Option(help="What its scores are: softmax, or sigmoid (several labels an image)")
    ] = "softmax",
    labels: Annotated[
        str | None, typer.Option(help="File of class names, as for `xaipipe run`.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to run it: cpu or cuda.")] = "cpu",
    compile: Annotated[
        bool, typer.Option("--compile", help="Also say what torch.compile gives; takes a minute.")
    ] = False,
) -> None:
    """Look at one classifier: what it sees, its top 5, its gradient, and how long a run would take.

    [bold]Example[/]

      xaipipe models check builtin:shapes --image photo.jpg
    """
    console = Console()
    found = classifiers.load_classifier(
        spec,
        weights=weights,
        preprocess=preprocess,
        device=device,
        head=_head(head),
        labels=None if labels is None else classifiers.read_labels(labels),
    )
    try:
        seen = classifiers.check_classifier(found, image)
    except ImageError as error:
        raise RequestError(f"--image {image}: {error.reason}") from error
    rows = [
        ("model", spec),
        ("input", found.preprocess.in_words()),
        ("classes", f"{len(found.classes)}, scores by {head}"),
        ("top 5", "\n".join(f"{score:.3f} {name}" for name, score in seen.top)),
        ("gradient", _gradient(seen.gradient)),
    ]
    if seen.gradient:
        rows += [("speed", _speed(found, compile)), ("a run", _run(found))]
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    if not seen.gradient:
        raise RequestError(
            f"--model {spec}: no gradient reaches the image, so that masks cannot be optimised; "
            "expected a differentiable module (no argmax, no detach, no numpy inside)"
        )


def _head(text: str) -> Head:
    from inr_core import HEADS

    for head in HEADS:
        if head == text:
            return head
    raise RequestError(f"--head {text}: expected one of {', '.join(HEADS)}")


def _gradient(largest: float | None) -> str:
    return f"reaches the image (largest {largest:.2g})" if largest else "does not reach the image"


def _speed(classifier: classifiers.Classifier, compile: bool) -> str:
    plain = classifiers.seconds_of_a_pass(classifier)
    text = f"{1 / plain:.1f} passes/s, forward and back, one image at a time"
    if not compile:
        return text
    started = time.monotonic()
    reason = classifier.module.compile_for(lambda: [1])
    if reason is not None:
        return f"{text}; cannot be compiled: {reason}"
    took = time.monotonic() - started
    times = plain / classifiers.seconds_of_a_pass(classifier)
    return f"{text}; compiled {times:.2f} times as many (compiling took {took:.0f} s)"


def _run(classifier: classifiers.Classifier) -> str:
    from inr_core import METHODS, PRESETS

    seconds = classifiers.seconds_of_a_pass(classifier)
    texts = []
    for name in ("default", "fast"):
        passes = METHODS["inr"].passes(PRESETS[name])
        texts.append(f"{name}: {passes} passes an image, {clock(IMAGES * passes * seconds)}")
    return f"of {IMAGES} images by one worker here, at this speed: {'; '.join(texts)}"
