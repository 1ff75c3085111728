"""ImageNet-S: ImageNet's images with segmentations, in the layout its authors distribute.

    ROOT/ImageNetS50/validation/n01443537/ILSVRC2012_val_00000236.JPEG
    ROOT/ImageNetS50/validation-segmentation/n01443537/ILSVRC2012_val_00000236.png

A segmentation is an RGB PNG: R + 256 G is 0 for other things, 1000 for what must not be counted,
and else the number of a class: its place, from 1, in the sorted list of the subset's classes. So
the numbers follow from the folders' names only when all 50, 300 or 919 of them are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pipeline.datasets.folders import folders_in
from pipeline.datasets.imagenet import class_index
from pipeline.datasets.writer import Row, Source
from pipeline.errors import RequestError
from pipeline.images import IMAGE_SUFFIXES
from pipeline.paths import plain_path

SUBSETS = (50, 300, 919)
MERGED = {  # in the subset of 919 classes, a folder holds the images of another class too
    "n04355933": "n04356056",
    "n02808440": "n04493381",
    "n03832673": "n03642806",
    "n03773504": "n04008634",
    "n15075141": "n03887697",
}


def imagenet_s_source(root: str, *, subset: int | None = None, split: str = "validation") -> Source:
    """One row per image of a split; the target is the ImageNet class index of its folder.

    root    the folder that holds ImageNetS50, or one of these themselves
    subset  None: the only one that is there
    Splits other than validation and train-semi have no segmentations. RequestError says what is
    not as it should be.
    """
    base = _base(plain_path(root), subset)
    folder = os.path.join(base, split)
    classes = _classes(folder, base, subset)
    pairs = [(wnid, name) for wnid in classes for name in _images(os.path.join(folder, wnid))]
    if not pairs:
        raise RequestError(f"{folder}: its {len(classes)} class folders hold no images")
    masks = f"{folder}-segmentation"
    notes = _merged_note(classes)
    if not os.path.isdir(masks):
        notes += (f"no ground truth: there is no folder {os.path.basename(masks)} beside {split}",)
        return Source(
            columns=("id", "image", "target"), rows=_rows(folder, pairs, {}, None), notes=notes
        )
    _check_masks(masks, pairs)
    values = {wnid: number for number, wnid in enumerate(classes, 1)}
    return Source(
        columns=("id", "image", "target", "mask", "mask_value"),
        rows=_rows(folder, pairs, values, masks),
        notes=notes,
    )


def _rows(
    folder: str, pairs: list[tuple[str, str]], values: dict[str, int], masks: str | None
) -> Iterator[Row]:
    for wnid, name in pairs:
        stem = os.path.splitext(name)[0]
        row: dict[str, str | int | None] = {
            "id": stem,
            "image": os.path.join(folder, wnid, name),
            "target": class_index(wnid),
        }
        if masks is not None:
            row |= {"mask": _mask(masks, wnid, name), "mask_value": values[wnid]}
        yield row


def _base(root: str, subset: int | None) -> str:
    """Absolute path of a subset's folder."""
    if "://" in root:
        raise RequestError(f"{root}: expected a local folder; mount or copy ImageNet-S first")
    found = [n for n in SUBSETS if os.path.isdir(os.path.join(root, f"ImageNetS{n}"))]
    if not found and os.path.isdir(root) and "validation" in os.listdir(root):
        return os.path.abspath(root)
    wanted = f"ImageNetS{subset}" if subset else "ImageNetS50, ImageNetS300 or ImageNetS919"
    if not found or (subset and subset not in found):
        raise RequestError(f"{root}: no folder {wanted} here; found: {folders_in(root)}")
    if subset is None and len(found) > 1:
        sizes = ", ".join(map(str, found))
        raise RequestError(f"{root}: the subsets {sizes} are here; choose one with --subset")
    return os.path.abspath(os.path.join(root, f"ImageNetS{subset or found[0]}"))


def _classes(folder: str, base: str, subset: int | None) -> list[str]:
    """Sorted WordNet ids of the class folders; all of a subset have to be there."""
    if not os.path.isdir(folder):
        raise RequestError(
            f"{base}: no folder {os.path.basename(folder)} here; found: {folders_in(base)}; choose"
            " one with --split, or prepare the data set to its end"
        )
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != ".")
    if unknown := [name for name in names if class_index(name) is None]:
        raise RequestError(
            f"{folder}: {unknown[0]} is no WordNet id of ImageNet's 1000 classes; expected only"
            " folders such as n01443537"
        )
    if len(names) not in ((subset,) if subset else SUBSETS):
        expected = subset or "50, 300 or 919"
        raise RequestError(
            f"{folder}: {len(names)} class folders, expected {expected}: the values in the masks"
            " count all classes of the subset; complete the folder"
        )
    return names


def _images(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))


def _mask(masks: str, wnid: str, name: str) -> str:
    return os.path.join(masks, wnid, os.path.splitext(name)[0] + ".png")


def _check_masks(masks: str, pairs: list[tuple[str, str]]) -> None:
    missing = [m for wnid, name in pairs if not os.path.exists(m := _mask(masks, wnid, name))]
    if missing:
        raise RequestError(
            f"{masks}: {len(missing)} of {len(pairs)} masks are missing, the first is {missing[0]};"
            " extract the annotations again"
        )


def _merged_note(classes: list[str]) -> tuple[str, ...]:
    if len(classes) != 919:
        return ()
    pairs = ", ".join(f"{class_index(a)} ({class_index(b)})" for a, b in MERGED.items())
    return (
        "5 folders hold the images of two ImageNet classes each; their target is the first of"
        f" them: {pairs}",
    )
