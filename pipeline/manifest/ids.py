"""The ids of a manifest, 8 bytes each, so that a million of them need no memory worth naming."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np


def pair(id_: str, stands: int) -> int:
    """One number for an id and what it stands for."""
    return hash((id_, stands))


class Ids:
    """Ids as sorted 64-bit hashes, those of Python's `hash`: good within one process.

    Two ids share a hash by chance once in 10^7 manifests of a million images, so what is taken for
    a repetition has to be looked at.
    """

    def __init__(self, hashes: array[int]) -> None:
        self._hashes = np.sort(np.frombuffer(hashes, np.int64))

    def repeated(self) -> set[int]:
        """Hashes that occur more than once."""
        equal = self._hashes[1:] == self._hashes[:-1]
        return set(self._hashes[1:][equal].tolist())

    def count(self, ids: Collection[str]) -> int:
        """How many of these are among the manifest's."""
        return int(self.holds(map(hash, ids)).sum())

    def holds(self, hashes: Iterable[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of these are among the manifest's."""
        asked = np.fromiter(hashes, np.int64)
        place = np.searchsorted(self._hashes, asked).clip(max=len(self._hashes) - 1)
        return np.asarray(self._hashes[place] == asked)
