"""PASCAL VOC: its 20 classes, how they relate to ImageNet's, and its layout on disk.

ROOT/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt     names of the images, one a line
ROOT/VOCdevkit/VOC2012/JPEGImages/2007_000033.jpg
ROOT/VOCdevkit/VOC2012/SegmentationClass/2007_000033.png  palette: 0 background, 1 to 20 the
                                                          classes, 255 void
ROOT/VOCdevkit/VOC2012/Annotations/2007_000033.xml        boxes, counted from 1, last pixel
                                                          included
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np

from pipeline.datasets.folders import folders_in
from pipeline.datasets.writer import Row, Source
from pipeline.errors import ImageError, RequestError
from pipeline.images import VOID, read_values
from pipeline.paths import plain_path

# The ImageNet classes whose objects VOC's annotation guidelines would call by the name on the left,
# as ranges of class indices. It is our reading of class names, not part of either data set, and the
# sets are not equal: ImageNet has no riding horse but one (sorrel), no motorcycle but moped and
# scooter, and of people three roles. VOC counts tricycles and unicycles as bicycles and ships as
# boats; trams are no buses or trains, lorries and emergency vehicles no cars, wolves no dogs, big
# cats no cats, goats no sheep, desks no dining tables.
IMAGENET = {
    "aeroplane": "404 895",
    "bicycle": "444 671 870 880",
    "bird": "7-24 80-100 127-146",
    "boat": "403 472 484 510 554 576 625 628 724 780 814 871 914",
    "bottle": "440 720 737 898 907",
    "bus": "654 779 874",
    "car": "436 468 511 609 627 656 661 751 817",
    "cat": "281-285",
    "chair": "423 559 765 857",
    "cow": "345",
    "diningtable": "532",
    "dog": "151-268",
    "horse": "339",
    "motorbike": "665 670",
    "person": "981-983",
    "pottedplant": "738",
    "sheep": "348-349",
    "sofa": "831",
    "train": "466 547 565 705 820",
    "tvmonitor": "664 782 851",
}
CLASSES = tuple(IMAGENET)  # alphabetical: class n of a segmentation is CLASSES[n - 1]
_RANGES = re.compile(r"\d+(-\d+)?( \d+(-\d+)?)*")


def expand(ranges: str | int) -> frozenset[int]:
    """Class indices of a cell of `target_set`: `7-9 80` is 7, 8, 9 and 80; ValueError if broken.

    A column with single numbers only is read back as integers, so one is taken, too.
    """
    if not _RANGES.fullmatch(str(ranges)):
        raise ValueError(f"{ranges!r} is no list of class indices such as `7-24 80`")
    ends = (part.split("-") for part in str(ranges).split(" "))
    return frozenset(n for end in ends for n in range(int(end[0]), int(end[-1]) + 1))


def voc_source(root: str, *, year: int = 2012, split: str = "val", classes: str = "voc") -> Source:
    """One row per image and class in its segmentation, with the id `2007_000033-aeroplane`.

    root     VOC2012 itself, VOCdevkit, or the folder that holds it
    classes  `voc`: the target is the class name, `index`: its place in CLASSES, for a head of 20
             classes; `imagenet`: no target, so that the classifier's top-1 is explained, and the
             columns `voc_class` and `target_set`: the row is a fair one where top-1 is in the set
    `bbox` holds all boxes of the class, those marked difficult included. RequestError says what is
    not as it should be.
    """
    base = _base(plain_path(root), year)
    names = _names(base, split)
    columns = ("id", "image", "target", "mask", "mask_value", "bbox")
    if classes != "imagenet":
        note = {
            "voc": "targets are class names: the classifier has to know them; --classes index"
            " writes their place in the alphabet instead",
            "index": "targets are 0 (aeroplane) to 19 (tvmonitor), in alphabetical order",
        }[classes]
        return Source(
            columns=columns,
            rows=_rows(base, names, classes),
            notes=(note,),
            model="python:MODULE:FACTORY" if classes == "voc" else "torchscript:FILE",
        )
    return Source(
        columns=(*columns, "voc_class", "target_set"),
        rows=_rows(base, names, classes),
        notes=(
            "no targets: the classifier's top-1 is explained; a row tells about its object only"
            " where top-1 (`predicted`) is in `target_set`",
        ),
    )


def _rows(base: str, names: list[str], classes: str) -> Iterator[Row]:
    for name in names:
        mask = _file(base, "SegmentationClass", name)
        boxes = _boxes(_file(base, "Annotations", name))
        for value in _values(mask):
            own = CLASSES[value - 1]
            targets: dict[str, str | int] = {"voc": own, "index": value - 1}
            yield {
                "id": f"{name}-{own}",
                "image": _file(base, "JPEGImages", name),
                "target": targets.get(classes),
                "mask": mask,
                "mask_value": value,
                "bbox": ";".join(boxes.get(own, ())),
                "voc_class": own,
                "target_set": IMAGENET[own],
            }


def _base(root: str, year: int) -> str:
    """Absolute path of VOC2012 or another year."""
    if "://" in root:
        raise RequestError(f"{root}: expected a local folder; mount or copy the data set first")
    places = [os.path.join("VOCdevkit", f"VOC{year}"), f"VOC{year}", ""]
    for place in places:
        base = os.path.join(root, place)
        if os.path.isdir(os.path.join(base, "JPEGImages")):
            return os.path.abspath(base)
    raise RequestError(
        f"{root}: no VOC{year} here; found: {folders_in(root)}; expected {places[0]}, {places[1]}"
        " or the folder with JPEGImages itself; another year with --year"
    )


def _names(base: str, split: str) -> list[str]:
    """Names of the images of a split, whose files all exist."""
    lists = os.path.join(base, "ImageSets", "Segmentation")
    path = os.path.join(lists, f"{split}.txt")
    if not os.path.isfile(path):
        there = sorted(os.listdir(lists)) if os.path.isdir(lists) else []
        known = ", ".join(n.removesuffix(".txt") for n in there) or "no lists of images"
        raise RequestError(f"{path}: no such file; found in {lists}: {known}; choose with --split")
    with open(path, encoding="utf-8") as file:
        names = file.read().split()
    if not names:
        raise RequestError(f"{path}: the list is empty; expected a name such as 2007_000033 a line")
    for kind in ("JPEGImages", "SegmentationClass"):
        missing = [n for n in names if not os.path.isfile(_file(base, kind, n))]
        if missing:
            raise RequestError(
                f"{os.path.join(base, kind)}: {len(missing)} of {len(names)} files are missing, the"
                f" first is {os.path.basename(_file(base, kind, missing[0]))}; extract the archive"
                " again"
            )
    return names


def _file(base: str, kind: str, name: str) -> str:
    suffix = {"JPEGImages": "jpg", "SegmentationClass": "png", "Annotations": "xml"}[kind]
    return os.path.join(base, kind, f"{name}.{suffix}")


def _values(mask: str) -> list[int]:
    """Classes 1 to 20 of a segmentation."""
    try:
        found: list[int] = np.unique(read_values(mask)).tolist()
    except ImageError as error:
        raise RequestError(error.reason) from error
    if unknown := [value for value in found if value > len(CLASSES) and value != VOID]:
        raise RequestError(
            f"{mask}: holds the value {unknown[0]}; expected 0 to {len(CLASSES)} and {VOID}, as in"
            " VOC's palette PNGs; was it converted to colours?"
        )
    return [value for value in found if 0 < value <= len(CLASSES)]


def _boxes(path: str) -> dict[str, list[str]]:
    """Boxes by class, as text of the column `bbox`; none where there is no annotation."""
    if not os.path.isfile(path):
        return {}
    boxes: dict[str, list[str]] = {}
    try:
        for thing in ElementTree.parse(path).getroot().iterfind("object"):
            sides = {k: float(thing.findtext(f"bndbox/{k}", "")) for k in _SIDES}
            box = (sides["xmin"] - 1, sides["ymin"] - 1, sides["xmax"], sides["ymax"])
            text = ",".join(f"{max(0.0, side):g}" for side in box)
            boxes.setdefault(thing.findtext("name", "").strip(), []).append(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise RequestError(f"{path}: not an annotation of VOC: {error}") from error
    return boxes


_SIDES = ("xmin", "ymin", "xmax", "ymax")
