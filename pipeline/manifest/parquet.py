"""Manifests in Parquet."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RequestError
from pipeline.manifest.table import NumberedRows, Report, Table, unique_columns


def parquet_table(uri: str, source: BinaryIO, report: Report) -> Table:
    parquet = pq.ParquetFile(source)
    columns = unique_columns(
        uri, ((field.name, _plain(field.type)) for field in parquet.schema_arrow)
    )
    return Table(columns=columns, rows=_parquet_rows(uri, parquet), unit="row")


def _plain(kind: pa.DataType) -> pa.DataType:
    """Cells come out of a dictionary as its values; a column without any value counts as text."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind


def _parquet_rows(uri: str, parquet: pq.ParquetFile) -> NumberedRows:
    number = 0
    for batch in parquet.iter_batches(batch_size=4096):
        names = batch.schema.names
        try:
            columns = [column.to_pylist() for column in batch.columns]
        except (ValueError, OverflowError) as error:  # dates that Python does not have
            raise RequestError(
                f"{uri}: a column cannot be read as Python values: {error} (a date outside the "
                "years 1 to 9999, or nanoseconds without pandas); store it as text, or leave it out"
            ) from None
        for row in zip(*columns, strict=True):
            number += 1
            yield number, dict(zip(names, row, strict=True))
