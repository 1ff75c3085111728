"""Runs held against this one, on the images that both explained for the same class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.parts import KEY
from pipeline.results import Interval, mean_interval
from pipeline.tables import RunReader

MEASURES = ("score_kept", "score_removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure of both runs on the images where both have it: its means, and first - second."""

    name: str
    area: float | None
    first: float
    second: float
    difference: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """This run (first) against another (second).

    about      method and classifier of the second
    common     images that both explained for the same class
    other      images that both explained, for different classes: left out
    first_only, second_only  images that the other run has not: left out
    agree      share of the common images for which both classifiers predict the same class
    """

    name: str
    about: str
    common: int
    other: int
    first_only: int
    second_only: int
    agree: float | None
    differences: tuple[Difference, ...]


def comparisons(reader: RunReader, others: Mapping[str, RunReader]) -> list[Comparison]:
    """One for each of the other runs."""
    if not others:
        return []
    first = _images(reader), _best(reader)
    return [_compare(name, first, other) for name, other in others.items()]


def _compare(name: str, first: tuple[pa.Table, pa.Table], other: RunReader) -> Comparison:
    images, masks = first
    theirs = _images(other)
    both = images.join(theirs, ["id", "target"], join_type="inner", right_suffix="_second")
    one, two = set(images["id"].to_pylist()), set(theirs["id"].to_pylist())
    shared = len(one & two)
    matched = len(set(both["id"].to_pylist()))
    same = pc.equal(both["predicted"], both["predicted_second"])
    found = other.fingerprint
    return Comparison(
        name=name,
        about=f"{found['method']} on {found['model']}",
        common=len(both),
        other=shared - matched,
        first_only=len(one - two),
        second_only=len(two - one),
        agree=pc.mean(same.cast(pa.float64())).as_py(),
        differences=tuple(_differences(both, masks, _best(other))),
    )


def _differences(both: pa.Table, first: pa.Table, second: pa.Table) -> list[Difference]:
    """Score of the whole image, then scores and smallest areas of the masks."""
    scored = both.select(["score", "score_second"])
    found = [_difference("score", None, scored, "score")]
    key = ["id", "target", "area"]
    masks = first.join(second, key, join_type="inner", right_suffix="_second")
    masks = masks.join(both.select(["id", "target"]), ["id", "target"], join_type="inner")
    for area in sorted(pc.unique(masks["area"]).to_pylist()):
        of_area = masks.filter(pc.field("area") == area)
        found += [_difference(name, area, of_area, name) for name in MEASURES]
    once = masks.group_by(["id", "target"]).aggregate(
        [("minimal_area", "min"), ("minimal_area_second", "min")]
    )
    once = once.rename_columns([name.removesuffix("_min") for name in once.column_names])
    found.append(_difference("minimal_area", None, once, "minimal_area"))
    return [d for d in found if d.difference.images]


def _difference(name: str, area: float | None, table: pa.Table, column: str) -> Difference:
    pairs = table.select([column, f"{column}_second"]).drop_null()
    one, two = (pairs[n].to_numpy().astype("f8") for n in pairs.column_names)
    found = mean_interval(one - two)
    first, second = (mean_interval(values).mean for values in (one, two))
    return Difference(name=name, area=area, first=first, second=second, difference=found)


def _images(reader: RunReader) -> pa.Table:
    return reader.images.to_table(columns=["id", "target", "score", "predicted"])


def _best(reader: RunReader) -> pa.Table:
    """id, target, area, scores and smallest area: the best restart of round 0."""
    chosen = (pc.field("round") == 0) & pc.field("best")
    best = reader.explanations.to_table(columns=[*KEY, "minimal_area"], filter=chosen)
    masks = reader.masks.to_table(columns=[*KEY, "area", *MEASURES], filter=chosen)
    return masks.join(best, KEY, join_type="inner")
