"""Schemas of the output tables (version 2) and their Parquet encoding.

Tables are encoded in memory: an interrupted write to a cloud store could publish half an object.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RequestError
from pipeline.paths import all_redacted

SCHEMA_VERSION = 2

_BOX = pa.struct([(side, pa.float64()) for side in ("x0", "y0", "x1", "y1")])
_PNG = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

IMAGES = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.string()),
        ("target", pa.int64()),
        ("target_name", pa.string()),
        ("score", pa.float32()),
        ("predicted", pa.int64()),
        ("predicted_name", pa.string()),
        ("predicted_score", pa.float32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("crop", _BOX),
        ("bytes", pa.int64()),
        ("digest", pa.string()),
    ]
)
EXPLANATIONS = pa.schema(
    [
        ("id", pa.string()),
        ("target", pa.int64()),
        ("restart", pa.int32()),
        ("round", pa.int32()),
        ("best", pa.bool_()),
        ("seed", pa.int64()),
        ("objective", pa.float64()),
        ("steps", pa.int32()),
        ("parameters", pa.binary()),
        ("minimal_area", pa.float64()),
        ("ranking", pa.binary()),
    ]
)
MASKS = pa.schema(
    [
        ("id", pa.string()),
        ("target", pa.int64()),
        ("restart", pa.int32()),
        ("round", pa.int32()),
        ("best", pa.bool_()),
        ("area", pa.float64()),
        ("measured_area", pa.float64()),
        ("score_kept", pa.float32()),
        ("score_removed", pa.float32()),
        ("score_kept_hard", pa.float32()),
        ("score_removed_hard", pa.float32()),
        ("mask", _PNG),
    ]
)
FAILURES = pa.schema(
    [("id", pa.string()), ("image", pa.string()), ("stage", pa.string()), ("reason", pa.string())]
)

# Of runs with a contrast alone, so that a folder that is continued has one schema.
CONTRAST = (
    pa.field("contrast", pa.int64()),
    pa.field("contrast_name", pa.string()),
    pa.field("contrast_score", pa.float32()),
)
CONTRAST_SCORES = (
    pa.field("contrast_kept", pa.float32()),
    pa.field("contrast_removed", pa.float32()),
)
_PRINTED = {"double": "float64", "float": "float32"}  # by Arrow, and the same in Hugging Face


def check_version(uri: str, fingerprint: Mapping[str, Any]) -> None:
    """RequestError if a run was written with another schema version."""
    found = fingerprint.get("schema_version")
    if found != SCHEMA_VERSION:
        raise RequestError(
            f"{uri}: holds a run of schema version {found}, expected {SCHEMA_VERSION} (rows have a "
            "`target`, masks a `best`); explain into another --out, or discard that run with "
            "`xaipipe run --overwrite`"
        )


def schemas(extra_types: Mapping[str, pa.DataType], contrast: bool = False) -> dict[str, pa.Schema]:
    """Schema of every table.

    extra_types  the manifest's further columns, kept in `images`
    contrast     whether classes are held against others
    """
    images, masks = IMAGES, MASKS
    if contrast:
        images = _with(images, CONTRAST, after="score")
        masks = _with(masks, CONTRAST_SCORES, after="score_removed")
    for name, type_ in extra_types.items():
        images = images.append(pa.field(name, type_))
    version = {"xaipipe.schema_version": str(SCHEMA_VERSION)}
    return {
        "images": images.with_metadata(version),
        "explanations": EXPLANATIONS.with_metadata(version),
        "masks": masks.with_metadata({**version, "huggingface": json.dumps(_hugging_face(masks))}),
        "failures": FAILURES.with_metadata(version),
    }


def with_later_columns(table: str, schema: pa.Schema) -> pa.Schema:
    """The schema of a table as it was written, with what has joined this version since (null)."""
    later = {"explanations": EXPLANATIONS, "masks": MASKS}.get(table)
    return schema if later is None else pa.unify_schemas([schema, later])


def _with(schema: pa.Schema, fields: Sequence[pa.Field], after: str) -> pa.Schema:
    place = schema.get_field_index(after) + 1
    for n, field in enumerate(fields):
        schema = schema.insert(place + n, field)
    return schema


def _hugging_face(masks: pa.Schema) -> dict[str, Any]:
    """Features of `datasets`: masks are images."""
    features: dict[str, Any] = {
        field.name: {"dtype": _PRINTED.get(str(field.type), str(field.type)), "_type": "Value"}
        for field in masks
    }
    return {"info": {"features": {**features, "mask": {"_type": "Image"}}}}


def encode(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """Rows as one Parquet file, without the secrets of URLs; equal rows give equal bytes."""
    return encode_table(pa.Table.from_pylist(list(map(all_redacted, rows)), schema=schema))


def encode_table(table: pa.Table) -> bytes:
    """A table as one Parquet file."""
    dictionary = [
        name
        for name in (
            "target_name",
            "predicted_name",
            "contrast_name",
            "stage",
            "reason",
            "run",
            "method",
            "metric",
        )
        if name in table.schema.names
    ]
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=dictionary,
        row_group_size=1000,
        write_page_index=True,
    )
    return sink.getvalue()


def decode(data: bytes) -> list[dict[str, Any]]:
    """The rows of an encoded table."""
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows
