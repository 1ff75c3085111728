"""Which images a page shows where a run has more than it can hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

Key = tuple[str, int]  # id, target
EXTREME = 4  # a quarter each are those that keep least and most


@dataclass(frozen=True, slots=True)
class Sample:
    """Explained images in the order in which they are drawn, with the reason for each.

    why    `pattern`, `lowest`, `highest`, `spread`, or `all` where there was nothing to choose
    total  images to choose from
    """

    why: dict[Key, str]
    total: int


def sample(ranking: pa.Table, count: int, wanted: Iterable[Key] = ()) -> Sample:
    """Choose `count` images.

    First those wanted (examples of patterns), at most half; then a quarter each of the others with
    the lowest and the highest score kept, and from the rest, ordered by class and score, every
    n-th, so that each class is there by its share.

    ranking  table of id, target, target_name and kept, lowest first
    """
    total = len(ranking)
    if total <= count:
        return Sample(dict.fromkeys(_keys(ranking), "all"), total)
    asked = list(dict.fromkeys(wanted))[: count // 2]
    known = set(_keys(ranking))
    why = {key: "pattern" for key in asked if key in known}
    places = np.array([n for n, key in enumerate(_keys(ranking)) if key not in why], np.int64)
    rest = count - len(why)
    few = rest // EXTREME
    middle = _spread(ranking, places[few : len(places) - few], rest - 2 * few)
    for name, chosen in (
        ("lowest", places[:few]),
        ("highest", places[len(places) - few :][::-1]),
        ("spread", middle),
    ):
        why |= dict.fromkeys(_keys(ranking.take(pa.array(chosen, pa.int64()))), name)
    return Sample(why, total)


def _spread(ranking: pa.Table, places: np.ndarray, count: int) -> np.ndarray:
    """Every n-th of the places, after they are ordered by class; they are ordered by score."""
    names = ranking["target_name"].take(pa.array(places, pa.int64())).to_pylist()
    ordered = places[np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)]
    chosen = ((np.arange(count) + 0.5) * len(ordered) / max(1, count)).astype(np.int64)
    return ordered[chosen]


def _keys(ranking: pa.Table) -> list[Key]:
    return list(zip(ranking["id"].to_pylist(), ranking["target"].to_pylist(), strict=True))
