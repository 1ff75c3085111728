"""`xaipipe manifest`: a manifest from a folder of images, a known data set, or another manifest."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from jobs.console import Console
from jobs.options import parse_select
from jobs.start import command
from pipeline import RequestError, datasets
from pipeline import manifest as manifests


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
    "mosaics": {"count", "side", "seed", "root", "select"},
}
FOLDER, DATASET, MOSAICS = "For a folder", "For voc and imagenet-s", "For mosaics"


def _mosaics(help_: str, least: int | None = None) -> Any:
    return typer.Option(help=help_, min=least, rich_help_panel=MOSAICS, show_default=False)


def manifest(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of images (or URL); or the word voc or imagenet-s, followed by ROOT; or "
            "mosaics, followed by MANIFEST.",
            metavar="FOLDER|voc|imagenet-s|mosaics",
        ),
    ],
    place: Annotated[
        str | None,
        typer.Argument(
            help="voc: the folder with VOCdevkit; imagenet-s: the folder with ImageNetS50; "
            "mosaics: a manifest with a `target` in every row.",
            metavar="ROOT|MANIFEST",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="CSV file to write (default: manifest.csv); mosaics: the folder that receives "
            "images and manifest.csv (default: mosaics).",
            show_default=False,
        ),
    ] = None,
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
    count: Annotated[int | None, _mosaics("Mosaics (default: each image is used once).", 1)] = None,
    side: Annotated[int | None, _mosaics("Side of a cell in pixels (default: 224).", 8)] = None,
    seed: Annotated[
        int | None, _mosaics("Which images come together and where (default: 0).", 0)
    ] = None,
    root: Annotated[
        str | None, _mosaics("Base of relative image paths, if not the manifest's folder.")
    ] = None,
    select: Annotated[
        list[str] | None, _mosaics("Only rows with COLUMN=VALUE; repeatable.")
    ] = None,
) -> None:
    """Write a manifest for a folder of images, PASCAL VOC or ImageNet-S as they were downloaded.

    Paths are relative to the manifest where they lie below it, so that both can move together.

    voc has one row per image and class, with mask, mask_value and boxes.
    With --classes imagenet there is no target: the classifier's top-1 is
    explained, and the column target_set holds the ImageNet classes that are
    the row's VOC class; keep the rows whose predicted class is in it.

    mosaics also writes the images: 2 x 2 of those of another manifest, of four
    different targets (grid pointing game, 2303.11884). There is a row for each
    cell, with its target, and the cell as bbox: precision and pointing then
    say how much of an explanation lies on the image that it is about. Chance
    is .25. The same command continues what was interrupted.

    [bold]Examples[/]

      xaipipe manifest xaipipe-demo/data/images --to demo.csv

      xaipipe manifest photos/ --targets folders

      xaipipe manifest imagenet-s data/imagenet-s --subset 50

      xaipipe manifest voc data --classes imagenet --to voc.csv

      xaipipe manifest mosaics val.csv --select split=test --count 100 --to mosaics
    """
    given: dict[str, Any] = {
        "targets": targets and targets is Targets.folders,
        "subset": subset and int(subset.value),
        "split": split,
        "year": year,
        "classes": classes and classes.value,
        "count": count,
        "side": side,
        "seed": seed,
        "root": root,
        "select": select or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    folder = to or "mosaics"
    to = f"{folder.rstrip('/')}/manifest.csv" if source == "mosaics" else to or "manifest.csv"
    datasets.check_target(to, overwrite)
    found = _source(source, place, folder, given)
    counts = datasets.write_manifest(found, to, overwrite=overwrite)
    _conclude(found, counts, to)


def _source(source: str, place: str | None, folder: str, given: dict[str, Any]) -> datasets.Source:
    kind = source if source in OPTIONS and source != "folder" else "folder"
    if wrong := sorted(given.keys() - OPTIONS[kind]):
        options = ", ".join(f"--{name}" for name in sorted(OPTIONS[kind]))
        raise RequestError(f"--{wrong[0]}: does not apply to {kind}, which takes {options}")
    if kind == "folder":
        if place is not None:
            raise RequestError(
                f"{source} {place}: expected one folder, or voc, imagenet-s or mosaics before it"
            )
        return datasets.folder_source(source, **given)
    if place is None:
        what = "manifest" if kind == "mosaics" else "folder of the data set"
        raise RequestError(
            f"{kind}: give the {what} after it, as in `xaipipe manifest {kind}"
            f" data`; a folder of images of that name is ./{kind}"
        )
    if kind == "mosaics":
        return _mosaics_of(place, folder, **given)
    make = datasets.voc_source if kind == "voc" else datasets.imagenet_s_source
    return make(place, **given)


def _mosaics_of(
    manifest: str,
    folder: str,
    *,
    root: str | None = None,
    select: list[str] | None = None,
    **given: Any,
) -> datasets.Source:
    targets = manifests.AnyTargets()
    refs = manifests.Manifest(
        manifest, root=root, select=parse_select(select), classes=targets, labelled=True
    )
    parts = [
        datasets.Part(ref.id, ref.image, targets.text(ref.target))
        for ref in refs
        if ref.target is not None
    ]
    return datasets.mosaics_source(parts, folder, **given)


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
