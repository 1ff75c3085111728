"""How many images the classifier sees at once, and what happens when they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from inr_core.device.exhaustion import is_out_of_memory

T = TypeVar("T")

KEPT = 8  # of what is prepared: slots and fits of every size
SIZES = 4  # of a fixed number of networks: all that fit, half of them, a quarter, an eighth


@dataclass(slots=True)
class Occupancy:
    """How many steps slots have made, in all (`spent`) and with a network in them (`used`)."""

    used: int = 0
    spent: int = 0

    @property
    def share(self) -> float:
        """Used of spent, in [0, 1]; 1 where none was spent."""
        return self.used / self.spent if self.spent else 1.0


class MicroBatch:
    """Cuts work on N networks into parts that fit; halves the parts when memory runs out.

    images     images that the classifier sees at once, at the most (one network is never cut)
    record     whether steps on a GPU are recorded as CUDA graphs
    dtype      in which steps on a GPU hold images and show them to the classifier, which has to
               take it; None: as they are given
    kept       what is prepared and can be used again, by what it is for
    occupancy  of all slots until now
    """

    def __init__(
        self, images: int, *, record: bool = True, dtype: torch.dtype | None = None
    ) -> None:
        if images < 1:
            raise ValueError(f"a micro-batch has at least 1 image, got {images}")
        self.images = images
        self.record = record
        self.dtype = dtype
        self.kept: dict[Hashable, Any] = {}
        self.occupancy = Occupancy()

    def prepared(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept for this key, or is made and kept from now on.

        What has been kept for longest makes room before.
        """
        if key not in self.kept:
            while len(self.kept) >= KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    def at_once(self, networks: int, images_each: int) -> int:
        """How many of the networks fit side by side, at least one."""
        return min(networks, max(1, self.images // images_each))

    def sizes(self, images_each: int) -> list[int]:
        """The few fixed numbers of networks side by side, ascending."""
        most = max(1, self.images // images_each)
        return sorted({max(1, most >> halvings) for halvings in range(SIZES)})

    def room(self, networks: int, images_each: int) -> int:
        """The smallest fixed number that holds these networks, or the largest if none does."""
        sizes = self.sizes(images_each)
        return next((size for size in sizes if size >= networks), sizes[-1])

    def wave(self, networks: int, images_each: int) -> int:
        """The fixed number for the next of these networks: with fewer places left empty than the
        smallest one has, as many as it can be."""
        smallest, room = self.sizes(images_each)[0], self.room(networks, images_each)
        if room - networks < smallest or room == smallest:
            return room
        return max(size for size in self.sizes(images_each) if size <= networks)

    def run(self, work: Callable[[slice], T], networks: int, images_each: int) -> list[T]:
        """Call `work` on consecutive slices of the networks; raises what `work` raises.

        Memory that runs out (`is_out_of_memory`) halves the micro-batch and the slice is done
        again, until a single network does not fit.
        """
        results: list[T] = []
        start = 0
        while start < networks:
            count = self.at_once(networks - start, images_each)
            try:
                results.append(work(slice(start, start + count)))
                start += count
                continue
            except Exception as error:
                if count == 1 or not is_out_of_memory(error):
                    raise
            # only here has the error let go of what the failed work held
            self.halve(count, images_each)
        return results

    def halve(self, networks: int, images_each: int) -> None:
        """After memory has run out for so many networks (2 or more): half of them from now on."""
        self.images = (networks // 2) * images_each
        self.kept.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
