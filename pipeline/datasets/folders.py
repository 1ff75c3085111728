"""A folder of images as the rows of a manifest, with classes from the names of subfolders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.datasets.imagenet import WNID, class_index
from pipeline.datasets.writer import Row, Source
from pipeline.errors import RequestError
from pipeline.images import list_images
from pipeline.paths import plain_path


def folder_source(folder: str, *, targets: bool = False) -> Source:
    """All images below a folder or URL; an image's id is its path in the folder.

    targets  the first folder below `folder` names the class of what is in it; a WordNet id becomes
             the class index in ImageNet. RequestError for an image that lies in none.
    """
    images, names = _images(folder)
    if not targets:
        rows = ({"id": n, "image": i} for i, n in zip(images, names, strict=True))
        return Source(columns=("id", "image"), rows=rows)
    classes = _classes(folder, names)
    return Source(
        columns=("id", "image", "target"),
        rows=_with_targets(images, names, classes),
        notes=_notes(classes),
    )


def folders_in(folder: str) -> str:
    """The folders in a folder, for a message."""
    if not os.path.isdir(folder):
        return "there is no such folder"
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    return ", ".join(names[:8]) + ", ..." * (len(names) > 8) if names else "no folders"


def _with_targets(
    images: list[str], names: list[str], classes: dict[str, str | int]
) -> Iterator[Row]:
    for image, name in zip(images, names, strict=True):
        yield {"id": name, "image": image, "target": classes[name.partition("/")[0]]}


def _images(folder: str) -> tuple[list[str], list[str]]:
    """Paths or URLs of the images, and their paths within the folder."""
    uri = plain_path(folder)
    fs, path = _filesystem(uri)
    if not fs.isdir(path):
        found = "is a file" if fs.exists(path) else "does not exist"
        raise RequestError(
            f"{folder}: {found}; expected a folder of images, or one of the layouts voc and"
            " imagenet-s followed by its folder"
        )
    images = list_images(fs, path, uri, "folder")
    base = path if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(path)
    names = [image[len(base) :].replace(os.sep, "/").lstrip("/") for image in images]
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise RequestError(
                f"{folder}: the name {name!r} is not UTF-8; rename the file"
            ) from None
    return images, names


def _filesystem(uri: str) -> tuple[Any, str]:
    if "://" not in uri:
        return LocalFileSystem(), os.path.abspath(uri)
    try:
        fs, path = url_to_fs(uri)
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: cannot be opened: {error}") from error
    return fs, path


def _classes(folder: str, names: list[str]) -> dict[str, str | int]:
    """Target of every first folder: the ImageNet index of a WordNet id, else its name."""
    loose = [name for name in names if "/" not in name]
    if loose:
        raise RequestError(
            f"{folder}: --targets folders, but {len(loose)} of {len(names)} images lie directly in"
            f" it ({_some(loose)}); expected every image in a folder named by its class; move"
            " them, or leave --targets out"
        )
    classes: dict[str, str | int] = {}
    for name in dict.fromkeys(name.partition("/")[0] for name in names):
        index = class_index(name) if WNID.fullmatch(name) else name
        if index is None:
            raise RequestError(
                f"{folder}: the folder {name} bears a WordNet id that is none of ImageNet's 1000"
                " classes; rename it to a class name or index of your classifier, or remove it"
            )
        classes[name] = index
    return classes


def _notes(classes: dict[str, str | int]) -> tuple[str, ...]:
    found = f"targets from the folders: {_some(list(classes))}"
    if any(isinstance(target, int) for target in classes.values()):
        found += "; WordNet ids became class indices of ImageNet"
    return (found,)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)
