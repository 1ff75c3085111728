"""The images of a folder or glob, local or in an object store."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RequestError, describe

PACKED = (".tar", ".parquet")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def given_images(names: Sequence[str]) -> list[str]:
    """Images that are named one by one, as a shell does of a glob: absolute paths, or URLs."""
    others = [name for name in names if not _bare(name).lower().endswith(IMAGE_SUFFIXES)]
    if others:
        raise RequestError(
            f"{others[0]}: is one of {len(names)} arguments and no image; expected images (ending "
            f"in {' '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)}), or one manifest, folder or "
            "glob"
        )
    images = [name if "://" in name else os.path.abspath(name) for name in names]
    missing = [n for n in images if "://" not in n and not os.path.exists(n)]
    if missing:
        raise RequestError(f"{missing[0]}: there is no such file ({len(missing)} of {len(names)})")
    return images


def _bare(name: str) -> str:
    return name.partition("?")[0] if "://" in name else name


def list_images(fs: Any, path: str, uri: str, kind: str) -> list[str]:
    """Sorted images, as paths or URLs; `kind` is `glob` or `folder`. RequestError for none."""
    if "::" in uri and "://" in uri:
        raise RequestError(f"{uri}: a chained URL cannot be listed; name the images in a manifest")
    try:
        names = _names(fs, path, kind)
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: cannot be listed: {describe(error)}") from error
    start = 0 if kind == "glob" else len(path)
    images = [n for n in names if n.lower().endswith(IMAGE_SUFFIXES) and "/." not in n[start:]]
    if not images:
        suffixes = " ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        found = f"{kind} with {len(names)} files" if names else f"{kind} without any file"
        packed = next((e for e in PACKED for name in names if name.lower().endswith(e)), None)
        hint = f"; for what lies in archives give {uri.rstrip('/')}/*{packed}" if packed else ""
        raise RequestError(
            f"{uri}: no images in this {found}; expected files ending in {suffixes}{hint}"
        )
    if isinstance(fs, LocalFileSystem):
        return sorted(images)
    return sorted(fs.unstrip_protocol(name) for name in images)


def _names(fs: Any, path: str, kind: str) -> list[str]:
    local = isinstance(fs, LocalFileSystem)
    if kind == "glob":
        return list(glob.glob(path, recursive=True) if local else fs.glob(path))
    return list(_walk(path) if local else fs.find(path))


def _walk(folder: str) -> list[str]:
    """All files below a folder, also behind links, except those that lead back up."""
    files = []
    for here, folders, names in os.walk(folder, followlinks=True):
        above = os.path.realpath(here) + os.sep
        folders[:] = [
            name
            for name in folders
            if not above.startswith(os.path.realpath(os.path.join(here, name)) + os.sep)
        ]
        files += [os.path.join(here, name) for name in names]
    return files
