"""The images of a shard in batches, and what they have led to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.errors import ImageError
from pipeline.images import LoadedImage
from pipeline.manifest import ImageRef
from pipeline.tables import Row, Rows, failure_row

T = TypeVar("T")
Chunk = list[tuple[ImageRef, LoadedImage]]


@dataclass(slots=True)
class Found:
    """What a shard's images have led to so far; masks are still being encoded."""

    rows: Rows = field(default_factory=Rows)
    masks: list[Future[list[Row]]] = field(default_factory=list)

    def finished(self) -> Rows:
        """All rows, the masks' in the order of the images."""
        self.rows.masks = [row for encoded in self.masks for row in encoded.result()]
        return self.rows


def usable(
    decoded: Iterable[tuple[ImageRef, LoadedImage | ImageError]], rows: Rows
) -> Iterator[tuple[ImageRef, LoadedImage]]:
    """Decoded images; the others become failure rows."""
    for ref, loaded in decoded:
        if isinstance(loaded, ImageError):
            rows.failures.append(failure_row(ref, loaded))
        else:
            yield ref, loaded


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size` items; the last one may be shorter."""
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
