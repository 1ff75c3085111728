"""The 1000 classes of ImageNet (ILSVRC 2012): WordNet ids in the order of the class indices."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

WNID = re.compile(r"n[0-9]{8}")  # what a WordNet id of a noun looks like


@lru_cache(maxsize=1)
def wnids() -> tuple[str, ...]:
    """WordNet ids in ascending order: `wnids()[281]` is the id of class 281."""
    return tuple(
        files("pipeline.datasets").joinpath("imagenet_wnids.txt").read_text("ascii").split()
    )


def class_index(wnid: str) -> int | None:
    """Class index of a WordNet id, None where it is none of the 1000."""
    return _indices().get(wnid)


@lru_cache(maxsize=1)
def _indices() -> dict[str, int]:
    return {wnid: index for index, wnid in enumerate(wnids())}
