"""The cue list: figures of each pattern, ranked by what is not the object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.patterns.clusters import nearest
from pipeline.tables import Row

TEXT, INT, SMALL, FLOAT = pa.string(), pa.int64(), pa.int32(), pa.float64()
PATTERNS = pa.schema(
    [
        ("target", INT),  # the class that it is a pattern of
        ("target_name", TEXT),
        ("pattern", SMALL),
        ("regions", SMALL),
        ("images", SMALL),  # that have such a region
        ("share", FLOAT),  # of the images of the class
        ("round", SMALL),  # in which it comes most often
        ("score_kept", FLOAT),
        ("outside", FLOAT),  # share of its regions outside the ground truth; null without any
        ("accuracy_with", FLOAT),  # of the images of the class that have it; null: they have not
        ("accuracy_without", FLOAT),
        ("reliance", FLOAT),  # see `reliance`; null without ground truth
        ("examples", pa.list_(TEXT)),  # ids of the most typical images
        ("example_targets", pa.list_(INT)),  # and the classes that they were explained for
    ]
)
EXAMPLES = 12
SUSPECT = 0.1  # reliance from which on a pattern deserves a look


def cue(rows: Sequence[Row], features_ND: NDArray[Any], of_class: Sequence[Row]) -> Row:
    """Figures of one pattern.

    rows      its regions, with what `images` and `context` know of their images
    of_class  all regions of the class, likewise
    """
    whole, own = _images(of_class), _images(rows)
    typical = dict.fromkeys((rows[n]["id"], rows[n]["target"]) for n in nearest(features_ND))
    examples = list(typical)[:EXAMPLES]
    return {
        "regions": len(rows),
        "images": len(own),
        "share": len(own) / len(whole),
        "round": Counter(row["round"] for row in rows).most_common(1)[0][0],
        "score_kept": _mean(row["score_kept"] for row in rows),
        "outside": _mean(row["outside"] for row in rows),
        "accuracy_with": _accuracy(own.values()),
        "accuracy_without": _accuracy(row for key, row in whole.items() if key not in own),
        "reliance": reliance(rows, of_class),
        "examples": [id_ for id_, _ in examples],
        "example_targets": [target for _, target in examples],
    }


def lies_beside(row: Row) -> bool:
    """Whether a region holds at least half of its score outside the object; False if unknown."""
    if row["score_outside"] is None:
        return False
    held = row["score_outside"] - row["score_nothing"]
    return bool(held > 0 and 2 * held >= row["score_kept"] - row["score_nothing"])


def reliance(rows: Sequence[Row], of_class: Sequence[Row]) -> float | None:
    """How much a class relies on that part of a pattern that is not its object, 0 to 1.

    The score that the part of the region outside the object (and a margin around it) holds when it
    alone is shown, above that of the image with everything perturbed; the mean over all images of
    the class that have a ground truth, 0 for those without the pattern. So it is the share of
    images times the score that only what is not the object holds in them.
    """
    known = {key for key, row in _images(of_class).items() if row["score_outside"] is not None}
    held: dict[tuple[str, int], float] = {}
    for row in rows:
        if row["score_outside"] is not None:
            key = row["id"], row["target"]
            held[key] = max(held.get(key, 0.0), row["score_outside"] - row["score_nothing"])
    return sum(held.values()) / len(known) if known else None


def rank(row: Row) -> tuple[Any, ...]:
    """Most reliance first; without ground truth, what most images have and what keeps most."""
    known = row["reliance"] is not None
    weight = row["reliance"] if known else row["share"] * row["score_kept"]
    return not known, -weight, row["target_name"], row["pattern"]


def _images(rows: Sequence[Row]) -> dict[tuple[str, int], Row]:
    return {(row["id"], row["target"]): row for row in rows}


def _accuracy(rows: Any) -> float | None:
    return _mean(float(row["predicted"] == row["target"]) for row in rows)


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
