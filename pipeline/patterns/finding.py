"""From the regions of a run to its patterns, and labels for its regions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.errors import RequestError
from pipeline.patterns.clusters import divided
from pipeline.patterns.cues import PATTERNS, cue, lies_beside, rank
from pipeline.patterns.labels import Label, relabelled
from pipeline.patterns.regions import Regions
from pipeline.regions import LAYOUT
from pipeline.store import RunLock
from pipeline.tables import Row, RunReader, encode_table

FILE = "patterns/patterns.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternsConfig:
    """Which regions are held against each other.

    by          images of the class that was explained, or of that which was predicted
    wrong_only  only of images that the classifier is wrong about
    seed        of the sample that is clustered where a class has very many regions
    """

    by: Literal["target", "predicted"] = "target"
    wrong_only: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Patterns:
    """What was found.

    rows     of the table `patterns`, in its order
    regions  that were looked at; alone: those of them that are of no pattern
    lacking  explained images that have no regions yet
    """

    rows: list[Row]
    regions: int
    alone: int
    lacking: int


def find_patterns(run: RunReader, config: PatternsConfig) -> Patterns:
    """Replaces the patterns of a run, and the labels of its regions.

    The regions' lock is held meanwhile. RequestError where there are no regions, or none of those
    that were asked for.
    """
    with RunLock(run.store, LAYOUT) as lock:
        regions = Regions(run)
        groups = _groups(regions.rows, config)
        if not groups:
            raise RequestError(
                f"{run.store.uri}: no image that the classifier is wrong about; leave --wrong-only "
                "out (it needs the true classes, a column `target` in the manifest)"
            )
        labels: list[Label] = [(None, None)] * len(regions.rows)
        rows: list[Row] = []
        features = regions.features(list(groups.values()))
        for (class_, places), own in zip(groups.items(), features, strict=True):
            rows += _patterns(class_, places, own, regions.rows, labels, config)
        rows.sort(key=rank)
        run.store.delete([FILE])  # no list that labels do not belong to, even after a crash
        relabelled(run, labels, lock)
        table = pa.Table.from_pylist(rows, PATTERNS.with_metadata(_settings(config)))
        run.store.put(FILE, encode_table(table))
    looked_at = sum(map(len, groups.values()))
    found = sum(pattern is not None for pattern, _ in labels)
    return Patterns(rows, looked_at, looked_at - found, regions.lacking)


def _groups(rows: list[Row], config: PatternsConfig) -> dict[tuple[int, str], list[int]]:
    """Places of the rows of each class."""
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if not config.wrong_only or row["predicted"] != row["target"]:
            found[row[config.by], row[f"{config.by}_name"]].append(place)
    return found


def _patterns(
    class_: tuple[int, str],
    places: list[int],
    features_ND: Any,
    rows: list[Row],
    labels: list[Label],
    config: PatternsConfig,
) -> list[Row]:
    """Rows of the patterns of one class; its regions are labelled."""
    target, name = class_
    of_class = [rows[place] for place in places]
    found = divided(features_ND, np.array([lies_beside(row) for row in of_class]), config.seed)
    for place, label in zip(places, found.tolist(), strict=True):
        if label >= 0:
            labels[place] = label, target
    head = {"target": target, "target_name": name}
    return [
        head
        | {"pattern": pattern}
        | cue(
            [row for row, label in zip(of_class, found, strict=True) if label == pattern],
            features_ND[found == pattern],
            of_class,
        )
        for pattern in range(found.max() + 1)
    ]


def _settings(config: PatternsConfig) -> dict[str, str]:
    return {f"xaipipe.{name}": str(value) for name, value in asdict(config).items()}
