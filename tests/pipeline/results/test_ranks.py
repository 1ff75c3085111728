"""Ranks and Kendall's tau of small tables, by hand and against a count of pairs."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest

from pipeline.results import SCHEMA, MetricsTable, Ranks


def table(values):
    """values: {metric: {area: {row: [of images]}}}"""
    rows = [
        {"run": run, "method": "m", "id": str(n), "target": 0, "target_name": "t"}
        | {"metric": metric, "area": area, "value": value}
        for metric, areas in values.items()
        for area, runs in areas.items()
        for run, of_images in runs.items()
        for n, value in enumerate(of_images)
    ]
    return MetricsTable(pa.Table.from_pylist(rows, schema=SCHEMA))


def test_ranks_are_of_means_over_areas_and_go_the_right_way():
    found = Ranks.of(
        table(
            {
                "kept": {
                    0.1: {"a": [0.1, 0.3], "b": [0.4], "c": [0.0]},
                    0.2: {"a": [0.9], "b": [0.2], "c": [0.3]},
                    0.4: {"a": [0.0], "c": [0.9]},  # not of all rows: does not count
                },
                "removed_judge": {0.1: {"a": [0.1], "b": [0.2], "c": [0.1]}},
                "pointing": {None: {"b": [1.0], "c": [0.0, 1.0]}},
            }
        ),
        ["kept", "removed_judge", "nothing", "pointing"],
    )
    assert list(found.means) == ["kept", "removed_judge", "pointing"]
    assert found.means["kept"] == pytest.approx({"a": 0.55, "b": 0.3, "c": 0.15})
    assert found.ranks("kept") == {"a": 1, "b": 2, "c": 3}
    assert found.ranks("removed_judge") == {"a": 1, "c": 1, "b": 3}  # lower is better
    assert found.ranks("pointing") == {"b": 1, "c": 2}
    assert found.tau("kept", "pointing") == 1  # b before c, in both
    # kept: ab ac bc all in order; removed: ab in order, ac equal, bc the reverse
    assert found.tau("kept", "removed_judge") == pytest.approx((1 - 1) / math.sqrt(3 * 2))
    assert set(found.taus()) == {
        ("kept", "removed_judge"),
        ("kept", "pointing"),
        ("removed_judge", "pointing"),
    }


def test_tau_counts_pairs_in_order_and_in_reverse():
    random = np.random.default_rng(0)
    for _ in range(20):
        first, second = random.integers(0, 4, (2, 7)).astype(float)
        of_rows = [{str(n): [v] for n, v in enumerate(values)} for values in (first, second)]
        found = Ranks.of(
            table({"kept": {0.1: of_rows[0]}, "insertion": {None: of_rows[1]}}), METRICS
        )
        assert found.tau(*METRICS) == pytest.approx(tau_b(first, second), nan_ok=True)


def tau_b(first, second):
    """Pairs in the same order less those in reverse, over how many there could be but for ties."""
    pairs = list(itertools.combinations(zip(first, second, strict=True), 2))
    products = [np.sign(a - b) * np.sign(x - y) for (a, x), (b, y) in pairs]
    untied = [sum(one[side] != other[side] for one, other in pairs) for side in (0, 1)]
    return sum(products) / math.sqrt(untied[0] * untied[1])


METRICS = ("kept", "insertion")


def test_one_row_and_equal_rows_have_no_order():
    one = Ranks.of(table({"kept": {0.1: {"a": [0.5]}}, "insertion": {None: {"a": [1.0]}}}), METRICS)
    assert one.ranks("kept") == {"a": 1} and one.taus() == {}
    equal = {"a": [0.5], "b": [0.5]}
    two = Ranks.of(
        table({"kept": {0.1: equal}, "insertion": {None: {"a": [1], "b": [2]}}}), METRICS
    )
    assert two.ranks("kept") == {"a": 1, "b": 1} and math.isnan(two.tau(*METRICS))
    apart = Ranks.of(table({"kept": {0.1: {"a": [0.5]}, 0.2: {"b": [0.5]}}}), METRICS)
    assert apart.means == {}  # no area is common
