"""What lies in an output before anything is explained: empty tables, and a dataset card.

With the empty files every query runs, also over a table that has no row (yet); with the card,
`datasets.load_dataset(OUT, "masks")` finds the tables.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.tables.schemas import schemas

EMPTY = "empty.parquet"
CARD = "README.md"
ROWS = {
    "images": "one row per explained image and class",
    "explanations": "one row per (image, class, restart, round): the optimised network",
    "masks": "one row per (image, class, restart, round, area): the mask and its scores",
    "failures": "one row per failed attempt: the stage and the reason",
}


def first_files(
    extra_types: Mapping[str, pa.DataType], model: str, method: str, contrast: bool = False
) -> dict[str, bytes]:
    """The empty tables of a run and its card, by name."""
    tables = schemas(extra_types, contrast).items()
    empty = {f"{table}/{EMPTY}": _without_rows(schema) for table, schema in tables}
    return {**empty, CARD: _card(model, method).encode()}


def _without_rows(schema: pa.Schema) -> bytes:
    """A Parquet file without row groups: `datasets` cannot read one whose first group is empty."""
    sink = io.BytesIO()
    pq.ParquetWriter(sink, schema).close()
    return sink.getvalue()


def _card(model: str, method: str) -> str:
    configs = "\n".join(
        f"- config_name: {table}\n  data_files: {table}/*.parquet" + "\n  default: true" * (not n)
        for n, table in enumerate(ROWS)
    )
    lines = "\n".join(f"- `{table}`: {rows}" for table, rows in ROWS.items())
    return f"""---
configs:
{configs}
---

# Explanations of `{model}`

Masks by the method `{method}`, made by xaipipe: which parts of each image the classifier needs.

{lines}

A mask is 1 where the image is kept and 0 where it is perturbed.
"""
