"""The images of a shard in batches, and what they have led to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from inr_core import Explanation
from pipeline.errors import ImageError
from pipeline.images import LoadedImage
from pipeline.manifest import ImageRef
from pipeline.run.prediction import Prediction
from pipeline.tables import Row, Rows, explanation_row, failure_row, image_row, mask_rows

T = TypeVar("T")
Item = tuple[ImageRef, LoadedImage]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images that are explained together.

    rgb_BCHW  their pixels on the host, uint8 or float32 as they have been loaded
    room      the memory that holds them, for one batch after the other
    """

    items: list[tuple[ImageRef, LoadedImage]]
    rgb_BCHW: Tensor
    room: Tensor

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, part: slice) -> Batch:
        return Batch(self.items[part], self.rgb_BCHW[part], self.room)


class Staging:
    """Host memory in which batches wait for the device: page-locked for a GPU, and used again.

    images  that a batch has at the most
    """

    def __init__(self, images: int, device: torch.device) -> None:
        self.images, self.pinned = images, device.type == "cuda"
        self.free: list[Tensor] = []

    def batch(self, items: list[tuple[ImageRef, LoadedImage]]) -> Batch:
        """The images side by side."""
        rgbs = [loaded.rgb for _, loaded in items]
        try:
            room = self.free.pop()
        except IndexError:  # nobody waits: calls that overlap could hold all there are
            shape = (self.images, *rgbs[0].shape)
            room = torch.empty(shape, dtype=rgbs[0].dtype, pin_memory=self.pinned)
        return Batch(items, torch.stack(rgbs, out=room[: len(rgbs)]), room)

    def release(self, batch: Batch) -> None:
        """Nobody reads the batch's pixels any more."""
        self.free.append(batch.room)


@dataclass(slots=True)
class Found:
    """What a shard's images have led to so far; masks are still being encoded."""

    rows: Rows = field(default_factory=Rows)
    masks: list[Future[list[Row]]] = field(default_factory=list)

    def keep(
        self,
        batch: Batch,
        said: Prediction,
        explained: Sequence[Sequence[Explanation]],
        classes: tuple[str, ...],
        encoders: Executor,
    ) -> None:
        """Rows of every image of a batch: of all its classes, or one failure.

        explained  of each class that was asked for, image by image
        """
        rest = iter(explained)
        for item, predicted, asked in zip(batch.items, said.predicted, said.asked, strict=True):
            if isinstance(asked, ImageError):
                self.rows.failures.append(failure_row(item[0], asked))
                continue
            of_image = [(one, next(rest)) for one in asked]
            if not all(_is_finite(e) for _, explanations in of_image for e in explanations):
                error = ImageError(
                    "explain", "the classifier's scores of masked images are not finite"
                )
                self.rows.failures.append(failure_row(item[0], error))
                continue
            for one, explanations in of_image:
                row = image_row(*item, classes, one.target, predicted, one.contrast)
                self.rows.images.append(row)
                for e in explanations:
                    given = item[0].id, one.target[0], e
                    self.rows.explanations.append(explanation_row(*given))
                    self.masks.append(encoders.submit(mask_rows, *given))

    def finished(self) -> Rows:
        """All rows, the masks' in the order of the images."""
        self.rows.masks = [row for encoded in self.masks for row in encoded.result()]
        return self.rows


def _is_finite(explanation: Explanation) -> bool:
    """Whether all scores of its masks are numbers."""
    return all(map(math.isfinite, explanation.scores))


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
