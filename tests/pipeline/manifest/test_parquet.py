"""Parquet: problems name rows, and columns keep their types."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from tests.manifests import (
    extras,
    numbers,
    parquet_bytes,
    refusal,
)


def test_problems_of_parquet_name_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(parquet_bytes({"image": ["a.jpg", None, "c.jpg"], "id": ["x", "y", "x"]}))
    message = refusal(str(path))
    assert numbers(message, "row") == [2, 3]
    assert "row 1" in message
    for name, values in (("image", [1]), ("image", [{"name": "a"}])):
        path.write_bytes(parquet_bytes({name: values}))
        assert "expected strings" in refusal(str(path))
    path.write_bytes(parquet_bytes({"image": ["a.jpg"], "mask": [1]}))
    assert "column `mask` is int64, expected strings" in refusal(str(path))


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    columns = {
        "small": pa.array([1, None], pa.int8()),
        "single": pa.array([0.5, None], pa.float32()),
        "flag": pa.array([True, None]),
        "when": pa.array([datetime(2024, 5, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("1.50"), None]),
        "tags": pa.array([["a", "b"], None]),
        "nested": pa.array([{"a": 1}, None]),
        "large": pa.array(["x", None], pa.large_string()),
    }
    special = {
        "category": pa.array(["u", None]).dictionary_encode(),
        "nothing": pa.array([None, None], pa.null()),
    }
    path = tmp_path / "m.parquet"
    path.write_bytes(parquet_bytes({"image": ["a.jpg", "b.jpg"], **columns, **special}))
    expected = {name: (array.type, array.to_pylist()) for name, array in columns.items()}
    expected |= {
        "category": (pa.string(), ["u", None]),
        "nothing": (pa.string(), [None, None]),
    }
    assert extras(str(path)) == expected
