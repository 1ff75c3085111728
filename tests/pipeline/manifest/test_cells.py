"""Cells: the type of a further column, from its text or its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.manifests import (
    extras,
    in_format,
    written,
)


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-2", "0"], pa.int64(), [1, -2, 0]),
        (["1", "", "3"], pa.int64(), [1, None, 3]),
        (["1", "2.5"], pa.float64(), [1.0, 2.5]),
        (["2.5", "1"], pa.float64(), [2.5, 1.0]),
        (["1e3", "-.5", "inf", "2."], pa.float64(), [1000.0, -0.5, float("inf"), 2.0]),
        (["1", "x"], pa.string(), ["1", "x"]),
        (["x", "1"], pa.string(), ["x", "1"]),
        (["", ""], pa.string(), [None, None]),
        (["007", "8"], pa.string(), ["007", "8"]),
        (["8", "007"], pa.string(), ["8", "007"]),
        (["00.5"], pa.string(), ["00.5"]),
        (["true", "False", "TRUE", ""], pa.bool_(), [True, False, True, None]),
        (["true", "1"], pa.string(), ["true", "1"]),
        (["1", "2.5", "x"], pa.string(), ["1", "2.5", "x"]),
        ([str(2**63 - 1), str(-(2**63))], pa.int64(), [2**63 - 1, -(2**63)]),
        ([str(2**63), "1"], pa.string(), [str(2**63), "1"]),
        (["12345678901234567890123", "1"], pa.string(), ["12345678901234567890123", "1"]),
        (["1_000"], pa.string(), ["1_000"]),
        (["٣"], pa.string(), ["٣"]),
        ([" 1"], pa.string(), [" 1"]),
        (["+1"], pa.string(), ["+1"]),
    ],
)
def test_types_of_csv(tmp_path: Path, cells: list[str], kind: pa.DataType, values: Any) -> None:
    text = "image,x\n" + "".join(f"{i}.jpg,{cell}\n" for i, cell in enumerate(cells))
    found = extras(written(tmp_path / "m.csv", text))["x"]
    assert found == (kind, values)
    assert list(map(type, found[1])) == list(map(type, values))


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        ([1, None, 2], pa.int64(), [1, None, 2]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([True, None, False], pa.bool_(), [True, None, False]),
        (["a", "", "007"], pa.string(), ["a", "", "007"]),
        (["1", "2"], pa.string(), ["1", "2"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([1, "a", None], pa.string(), ["1", "a", None]),
        ([{"b": [1, "ä"], "a": None}], pa.string(), ['{"a": null, "b": [1, "ä"]}']),
        ([[1, 2], 3], pa.string(), ["[1, 2]", "3"]),
        ([None, None], pa.string(), [None, None]),
        ([2**70, 1], pa.string(), [str(2**70), "1"]),
    ],
)
def test_types_of_json(tmp_path: Path, cells: list[Any], kind: pa.DataType, values: Any) -> None:
    rows = [{"image": f"{i}.jpg", "x": cell} for i, cell in enumerate(cells)]
    found = extras(in_format(tmp_path, ".jsonl", rows))["x"]
    assert found == (kind, values)
    assert list(map(type, found[1])) == list(map(type, values))
