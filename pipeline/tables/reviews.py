"""Verdicts of people on regions and patterns: what lies in `reviews`, one file for each hand-in."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store
from pipeline.tables.schemas import encode

VERDICTS = ("object", "context", "spurious")
WITHDRAWN = "none"  # takes an earlier verdict back
THING = ("id", "target", "restart", "round", "pattern")  # what a verdict is on
REVIEWS = pa.schema(
    [
        ("id", pa.string()),  # null in verdicts on a pattern, as are restart, round and area
        ("target", pa.int64()),
        ("target_name", pa.string()),
        ("restart", pa.int32()),
        ("round", pa.int32()),
        ("pattern", pa.int32()),  # null in verdicts on a region
        ("area", pa.float64()),  # at which the region was seen
        ("verdict", pa.string()),
        ("note", pa.string()),
        ("reviewed", pa.timestamp("ms", "UTC")),
    ]
)


def write_reviews(store: Store, rows: Sequence[Mapping[str, Any]]) -> str:
    """Add verdicts to a run; returns the file's name, which follows from them."""
    data = encode(rows, REVIEWS)
    name = f"reviews/{hashlib.sha256(repr(list(rows)).encode()).hexdigest()[:16]}.parquet"
    store.put(name, data)
    return name


def read_reviews(store: Store) -> pa.Table:
    """The last verdict on every region and pattern; withdrawn ones are left out."""
    names = [name for name in store.list("reviews") if name.endswith(".parquet")]
    files = store.get_many(names)
    tables = [pq.read_table(io.BytesIO(files[name]), schema=REVIEWS) for name in names]
    table = pa.concat_tables([REVIEWS.empty_table(), *tables]).sort_by("reviewed")
    last = {tuple(row[name] for name in THING): row for row in table.to_pylist()}
    rows = [row for row in last.values() if row["verdict"] != WITHDRAWN]
    return pa.Table.from_pylist(rows, schema=REVIEWS)
