"""The target of an image: which class to explain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache

from pipeline.datasets import WNID, class_index

IMAGENET = 1000  # classes, in the order of their WordNet ids


class Targets:
    """Turns what stands in the column `target` into a class index: an index, a name, or for a
    classifier of 1000 classes a WordNet id of ImageNet's.
    """

    _INTEGER = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?")  # 3.0 is what a column with gaps makes of 3

    def __init__(self, classes: Sequence[str] | int | None) -> None:
        self._names = [] if classes is None or isinstance(classes, int) else list(classes)
        self._count = classes if isinstance(classes, int) else len(self._names) or None
        self._by_name: dict[str, list[int]] = {}
        self._by_folded: dict[str, list[int]] = {}
        for index, name in enumerate(self._names):
            self._by_name.setdefault(name, []).append(index)
            self._by_folded.setdefault(name.casefold(), []).append(index)
        self.index = lru_cache(maxsize=1 << 16)(self._index)

    def _index(self, text: str) -> int | None:
        """Class index, or None where the text is none; digits are an index, never a name."""
        if number := self._INTEGER.fullmatch(text):
            index = int(number[1])
            inside = index >= 0 and (self._count is None or index < self._count)
            return index if inside else None
        found = self._named(text)
        return found[0] if len(found) == 1 else None

    def _named(self, text: str) -> list[int]:
        found = self._by_name.get(text) or self._by_folded.get(text.casefold())
        if not found and self._count == IMAGENET and (index := class_index(text)) is not None:
            return [index]
        return found or []

    def problem(self, text: str) -> str:
        """What is wrong with a text that has no index."""
        if number := self._INTEGER.fullmatch(text):
            last = "upwards" if self._count is None else f"to {self._count - 1}"
            return f"target {number[1]} is no class index; expected 0 {last}"
        if WNID.fullmatch(text):
            return (
                f"target {text!r} is the WordNet id of no class of the classifier; expected one of"
                f" ImageNet's {IMAGENET}, and a classifier of these, or names of --labels FILE"
            )
        if not self._names:
            return f"target {text!r} is no class index; names need a classifier with class names"
        if found := self._named(text):
            indices = ", ".join(map(str, found))
            return f"target {text!r} names the classes {indices} alike; give the index"
        return f"target {text!r} is no class of the classifier{_nearest(text, self._names)}"


class AnyTargets(Targets):
    """Takes every text, and numbers those it has met: where no classifier says what is a class."""

    def __init__(self) -> None:
        super().__init__(None)
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []

    def text(self, index: int) -> str:
        """What stands for a number in the column `target`."""
        return self._texts[index]

    def _index(self, text: str) -> int:
        number = self._INTEGER.fullmatch(text)
        plain = number[1] if number else text
        if plain not in self._numbers:
            self._numbers[plain] = len(self._texts)
            self._texts.append(plain)
        return self._numbers[plain]


def _nearest(name: str, known: Sequence[str]) -> str:
    folded = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    return f"; the nearest is {folded[close[0]]!r}" if close else ""
