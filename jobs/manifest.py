"""`xaipipe manifest`: a manifest from a folder of images or a known data set."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from jobs.console import Console
from jobs.start import command
from pipeline import RequestError, datasets


class Targets(Enum):
    none = "none"
    folders = "folders"


class Subset(Enum):
    s50 = "50"
    s300 = "300"
    s919 = "919"


class Classes(Enum):
    names = "voc"
    indices = "index"
    imagenet = "imagenet"


OPTIONS = {
    "folder": {"targets"},
    "imagenet-s": {"subset", "split"},
    "voc": {"year", "split", "classes"},
}
FOLDER, DATASET = "For a folder", "For voc and imagenet-s"


def manifest(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of images (or URL); or the word voc or imagenet-s, followed by ROOT.",
            metavar="FOLDER|voc|imagenet-s",
        ),
    ],
    root: Annotated[
        str | None,
        typer.Argument(
            help="voc: the folder with VOCdevkit; imagenet-s: the folder with ImageNetS50.",
            metavar="ROOT",
            show_default=False,
        ),
    ] = None,
    to: Annotated[str, typer.Option(help="CSV file to write.")] = "manifest.csv",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    targets: Annotated[
        Targets | None,
        typer.Option(
            help="folders: the first folder below FOLDER is the class, by name, index or WordNet "
            "id (n01440764 becomes ImageNet's class 0). Default: none, the top-1 is explained.",
            rich_help_panel=FOLDER,
            show_default=False,
        ),
    ] = None,
    subset: Annotated[
        Subset | None,
        typer.Option(
            help="imagenet-s: how many classes (default: what is there).",
            rich_help_panel=DATASET,
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Default: validation for imagenet-s, val for voc.",
            rich_help_panel=DATASET,
            show_default=False,
        ),
    ] = None,
    year: Annotated[
        int | None,
        typer.Option(help="voc: default 2012.", rich_help_panel=DATASET, show_default=False),
    ] = None,
    classes: Annotated[
        Classes | None,
        typer.Option(
            help="voc: targets as class names (voc, the default) or as 0 to 19 (index) for a "
            "classifier of VOC's 20 classes; imagenet: for one of ImageNet's, see above.",
            rich_help_panel=DATASET,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a manifest for a folder of images, PASCAL VOC or ImageNet-S as they were downloaded.

    Paths are relative to the manifest where they lie below it, so that both can move together.

    voc has one row per image and class, with mask, mask_value and boxes.
    With --classes imagenet there is no target: the classifier's top-1 is
    explained, and the column target_set holds the ImageNet classes that are
    the row's VOC class; keep the rows whose predicted class is in it.

    [bold]Examples[/]

      xaipipe manifest xaipipe-demo/data/images --to demo.csv

      xaipipe manifest photos/ --targets folders

      xaipipe manifest imagenet-s data/imagenet-s --subset 50

      xaipipe manifest voc data --classes imagenet --to voc.csv
    """
    given: dict[str, Any] = {
        "targets": targets and targets is Targets.folders,
        "subset": subset and int(subset.value),
        "split": split,
        "year": year,
        "classes": classes and classes.value,
    }
    given = {name: value for name, value in given.items() if value is not None}
    datasets.check_target(to, overwrite)
    found = _source(source, root, given)
    counts = datasets.write_manifest(found, to, overwrite=overwrite)
    _conclude(found, counts, to)


def _source(source: str, root: str | None, given: dict[str, Any]) -> datasets.Source:
    kind = source if source in ("voc", "imagenet-s") else "folder"
    if wrong := sorted(given.keys() - OPTIONS[kind]):
        options = ", ".join(f"--{name}" for name in sorted(OPTIONS[kind]))
        raise RequestError(f"--{wrong[0]}: does not apply to {kind}, which takes {options}")
    if kind == "folder":
        if root is not None:
            raise RequestError(
                f"{source} {root}: expected one folder, or voc or imagenet-s before it"
            )
        return datasets.folder_source(source, **given)
    if root is None:
        raise RequestError(
            f"{kind}: give the folder of the data set after it, as in `xaipipe manifest {kind}"
            f" data`; a folder of images of that name is ./{kind}"
        )
    return (
        datasets.voc_source(root, **given)
        if kind == "voc"
        else datasets.imagenet_s_source(root, **given)
    )


def _conclude(source: datasets.Source, counts: datasets.Counts, to: str) -> None:
    """Say what was written and what to run next."""
    console = Console()
    parts = [f"{counts.images} images"]
    if counts.classes:
        parts.append(f"{len(counts.classes)} classes")
    parts += [
        f"{n} with a {kind}" for n, kind in ((counts.masks, "mask"), (counts.boxes, "box")) if n
    ]
    lines = [f"{to}: {counts.rows} rows, {', '.join(parts)}", *source.notes]
    options = f"--model {source.model} --out out"
    lines.append(f"next: {command('run', to, options=options)}")
    for line in lines:
        console.print(line)
