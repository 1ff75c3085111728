"""The table of all metrics, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import fsspec
import pyarrow as pa

from pipeline.tables import encode

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("method", pa.string()),
        ("id", pa.string()),
        ("target_name", pa.string()),
        ("metric", pa.string()),
        ("area", pa.float64()),
        ("value", pa.float64()),
    ]
)


def write_metrics(uri: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """All values as one Parquet file, at a path or URL."""
    data = encode(rows, SCHEMA)
    with fsspec.open(uri, "wb") as stream:
        stream.write(data)
