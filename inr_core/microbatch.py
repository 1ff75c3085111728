"""How many images the classifier sees at once, and what happens when they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


class MicroBatch:
    """Cuts work on N networks into parts that fit; halves the parts when memory runs out.

    images  images that the classifier sees at once, at the most (one network is never cut)
    """

    def __init__(self, images: int) -> None:
        if images < 1:
            raise ValueError(f"a micro-batch has at least 1 image, got {images}")
        self.images = images

    def run(self, work: Callable[[slice], T], networks: int, images_each: int) -> list[T]:
        """Call `work` on consecutive slices of the networks; raises what `work` raises.

        torch.OutOfMemoryError halves the micro-batch and the slice is done again, until a
        single network does not fit.
        """
        results, start = [], 0
        while start < networks:
            count = max(1, self.images // images_each)
            try:
                results.append(work(slice(start, min(start + count, networks))))
            except torch.OutOfMemoryError:
                if count == 1:
                    raise
                self.images = (count // 2) * images_each
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            start += count
        return results
