"""The ids of a manifest, 8 bytes each, so that a million of them need no memory worth naming."""

from __future__ import annotations

from array import array
from collections.abc import Set

import numpy as np


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

    def count(self, ids: Set[str]) -> int:
        """How many of these are among the manifest's."""
        asked = np.fromiter(map(hash, ids), np.int64, len(ids))
        place = np.searchsorted(self._hashes, asked).clip(max=len(self._hashes) - 1)
        return int((self._hashes[place] == asked).sum())
