"""The photographs that a run explained, where they lie now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsspec.core import url_to_fs
from PIL import Image

from pipeline.errors import ImageError, RequestError
from pipeline.images import image_bytes, read_image
from pipeline.members import Member
from pipeline.paths import plain_path, resolver


class Originals:
    """Finds the images of a run, also under another folder than when they were explained.

    root  the folder or URL that now holds them: an image `/old/a/b.png` may be there as `a/b.png`
          or `b.png`; the longest end of its path that is there counts. None: nothing has moved
    """

    def __init__(self, root: str | None = None) -> None:
        self._root = None if root is None else plain_path(root).rstrip("/")
        self._gone: list[str] = []  # beginnings of paths that the root has been found to replace

    def uri(self, row: Mapping[str, Any]) -> str:
        """Where the image of a row of `images` lies; RequestError if not under the root."""
        image = str(row["image"])
        if self._root is None:
            return image
        member = Member.of(image)
        if member is not None:
            return str(member.in_file(self._file(member.file, self._root)))
        return self._file(image, self._root)

    def _file(self, file: str, root: str) -> str:
        """Where a file lies under the root."""
        resolve = resolver(root)
        for gone in self._gone:
            if file.startswith(gone):
                return resolve(file[len(gone) :])
        parts = file.rpartition("://")[2].lstrip("/").split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if _exists(found := resolve(end)):
                self._gone.append(file.removesuffix(end))
                return found
        raise RequestError(
            f"--root {self._root}: holds no {parts[-1]}, neither directly nor in the folders it "
            f"lay in ({file}); expected the folder that the images are in now"
        )

    def open(self, row: Mapping[str, Any]) -> Image.Image:
        """The upright original; RequestError if it cannot be read or has another size now."""
        uri = self.uri(row)
        try:
            image = read_image(uri)
        except ImageError as error:
            hint = "" if self._root else "; if the images have moved, say where with --root"
            raise RequestError(f"{uri}: {error.reason}{hint}") from error
        if image.size != (row["width"], row["height"]):
            raise RequestError(
                f"{uri}: was {row['width']} x {row['height']} pixels when it was explained, and is "
                f"{image.width} x {image.height} now"
            )
        return image

    def data(self, row: Mapping[str, Any]) -> bytes:
        """The image's file as it is; RequestError if it cannot be read."""
        uri = self.uri(row)
        try:
            return image_bytes(uri)
        except ImageError as error:
            raise RequestError(f"{uri}: {error.reason}") from error


def _exists(uri: str) -> bool:
    fs, path = url_to_fs(uri)
    return bool(fs.isfile(path))
