"""How many images the classifier sees at once, and what happens when they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

KEPT = 4  # rounds of a run, at the most, whose steps stay prepared


class MicroBatch:
    """Cuts work on N networks into parts that fit; halves the parts when memory runs out.

    images  images that the classifier sees at once, at the most (one network is never cut)
    record  whether steps on a GPU are recorded as CUDA graphs
    kept    of the parts already prepared, those that can be used again, by what they are for
    """

    def __init__(self, images: int, *, record: bool = True) -> None:
        if images < 1:
            raise ValueError(f"a micro-batch has at least 1 image, got {images}")
        self.images = images
        self.record = record
        self.kept: dict[Hashable, Any] = {}

    def keep(self, key: Hashable, prepared: object) -> None:
        """Add to `kept`, which never becomes large."""
        if len(self.kept) >= KEPT:
            self.kept.clear()
        self.kept[key] = prepared

    def at_once(self, networks: int, images_each: int) -> int:
        """How many of the networks fit side by side, at least one."""
        return min(networks, max(1, self.images // images_each))

    def run(self, work: Callable[[slice], T], networks: int, images_each: int) -> list[T]:
        """Call `work` on consecutive slices of the networks; raises what `work` raises.

        torch.OutOfMemoryError halves the micro-batch and the slice is done again, until a
        single network does not fit.
        """
        results: list[T] = []
        start = 0
        while start < networks:

            def part(count: int, start: int = start) -> tuple[T, int]:
                return work(slice(start, start + count)), count

            result, count = self.fitted(part, networks - start, images_each)
            results.append(result)
            start += count
        return results

    def fitted(self, work: Callable[[int], T], networks: int, images_each: int) -> T:
        """Call `work` with the number of networks, all or fewer, that fit side by side.

        torch.OutOfMemoryError halves the micro-batch, and the work is done again.
        """
        while True:
            count = self.at_once(networks, images_each)
            try:
                return work(count)
            except torch.OutOfMemoryError:
                if count == 1:
                    raise
            # only here has the error let go of what the failed work held
            self.images = (count // 2) * images_each
            self.kept.clear()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
