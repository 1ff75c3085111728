"""Manifests in Parquet, also data sets whose images are a column of bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RequestError
from pipeline.manifest.cells import Cells
from pipeline.manifest.columns import free_name
from pipeline.manifest.listing import Found, Kept, listed
from pipeline.manifest.stores import filesystem, reading
from pipeline.manifest.table import NumberedRows, Report, Table, unique_columns
from pipeline.members import Member, quoted

BYTES_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "content", "bytes")
ROWS = 4096  # that are in memory at once


def parquet_table(uri: str, files: Sequence[str], report: Report, kept: Kept) -> Table:
    """The rows of files of one schema.

    Of images' bytes nothing is read: `image` says where they are (`pipeline.members`).
    """
    with _opened(files[0]) as parquet:
        layout = _Layout.of(uri, parquet.schema_arrow)

    def rows() -> NumberedRows:
        def make() -> Found:
            return listed(files, lambda file: _rows(file, layout))

        keeps = "://" in files[0] and layout.image is not None
        for number, row in enumerate(kept.rows(make) if keeps else make(), 1):
            assert not isinstance(row, str)
            yield number, row

    return Table(columns=layout.columns, rows=rows(), unit="row")


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is read of the files, and as which columns.

    columns  the manifest's; read: those of the files that are read, with the columns' names
    image    the column of images' bytes that is explained, if it is one; packed: all of these
    names    of the classes whose indices a column holds
    """

    columns: dict[str, pa.DataType | None]
    read: dict[str, str]
    image: str | None
    packed: dict[str, str]
    names: Mapping[str, Sequence[str]]
    schema: pa.Schema

    @classmethod
    def of(cls, uri: str, schema: pa.Schema) -> _Layout:
        """RequestError for columns that cannot be told apart."""
        fields = unique_columns(uri, ((field.name, _plain(field.type)) for field in schema))
        image = _image_column(uri, fields)
        if image is None:
            return cls(fields, {name: name for name in fields}, None, {}, {}, schema)
        names = {n: c for n, c in _class_names(schema).items() if n != "target" and n in fields}
        columns: dict[str, pa.DataType | None] = {"image": pa.string()}
        read: dict[str, str] = {}
        packed = {image: "image"}
        for name, kind in fields.items():
            if name == image:
                continue
            is_bytes = _holds_bytes(kind)
            taken = name == "image" or (name == "bbox" and not pa.types.is_string(kind))
            column = free_name(name, taken)
            (packed if is_bytes else read)[name] = column
            columns[column] = pa.string() if is_bytes or name in names else kind
        return cls(columns, read, image, packed, names, schema)


def _rows(file: str, layout: _Layout) -> Found:
    with reading(file, "the manifest"), _opened(file) as parquet:
        _check_same(file, parquet.schema_arrow, layout.schema)
        if layout.image is not None:
            _check_embedded(file, layout.image, parquet.metadata)
        path = os.path.abspath(file) if "://" not in file else file
        yield from _cells(file, path, parquet, layout)


def _cells(file: str, path: str, parquet: pq.ParquetFile, layout: _Layout) -> Iterator[Cells]:
    packed = {column: quoted(name) for name, column in layout.packed.items()}
    number = 0
    for names, columns, count in _batches(file, parquet, layout):
        for index in range(count):
            cells = {name: column[index] for name, column in zip(names, columns, strict=True)}
            for column, inner in packed.items():
                cells[column] = str(Member("parquet", f"{inner}/{number}", path))
            number += 1
            yield cells


def _batches(
    file: str, parquet: pq.ParquetFile, layout: _Layout
) -> Iterator[tuple[list[str], list[list[Any]], int]]:
    """Columns' names, their values, and the number of rows, a few rows at a time."""
    if not layout.read:
        yield [], [], parquet.metadata.num_rows
        return
    only = list(layout.read) if layout.packed else None
    for batch in parquet.iter_batches(batch_size=ROWS, columns=only):
        try:
            columns = [
                _named(column.to_pylist(), layout.names.get(name))
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
        except (ValueError, OverflowError) as error:  # dates that Python does not have
            raise RequestError(
                f"{file}: a column cannot be read as Python values: {error} (a date outside the "
                "years 1 to 9999, or nanoseconds without pandas); store it as text, or leave it out"
            ) from None
        yield [layout.read[name] for name in batch.schema.names], columns, batch.num_rows


def _named(cells: list[Any], names: Sequence[str] | None) -> list[Any]:
    """Classes' names in place of their indices; None for those that have none, such as -1."""
    if names is None:
        return cells
    return [names[c] if c is not None and 0 <= c < len(names) else None for c in cells]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Cells come out of a dictionary as its values; a column without any value counts as text."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind


def _image_column(uri: str, fields: Mapping[str, pa.DataType]) -> str | None:
    """The column of images' bytes; None if there is none, or a column `image` of paths."""
    if "image" in fields:
        return "image" if _holds_bytes(fields["image"]) else None
    packed = [name for name, kind in fields.items() if _holds_bytes(kind)]
    found = [n for n in packed if pa.types.is_struct(fields[n]) or n in BYTES_COLUMNS]
    if len(found) > 1:
        names = ", ".join(f"`{name}`" for name in found)
        raise RequestError(f"{uri}: {names} may all hold images; name the one to explain `image`")
    return found[0] if found else None


def _holds_bytes(kind: pa.DataType) -> bool:
    """Whether the cells are bytes, or `{bytes, path}` as Hugging Face stores files."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_bytes(kind.field(index).type)
    return kind in (pa.binary(), pa.large_binary())


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes of Hugging Face's `ClassLabel` columns."""
    about = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(about)["info"]["features"] if about else {}
        return {
            name: [str(one) for one in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError):  # somebody else's metadata
        return {}


def _check_same(file: str, schema: pa.Schema, first: pa.Schema) -> None:
    if not schema.equals(first):
        raise RequestError(
            f"{file}: has other columns or types ({', '.join(schema.names)}) than the first file "
            f"({', '.join(first.names)}); expected files of one data set"
        )


def _check_embedded(file: str, image: str, about: pq.FileMetaData) -> None:
    """RequestError if there is certainly no image."""
    leaves = [f"{image}.bytes", image]
    for group in map(about.row_group, range(about.num_row_groups)):
        columns = map(group.column, range(group.num_columns))
        found = next(c.statistics for c in columns if c.path_in_schema in leaves)
        if found is None or found.null_count != group.num_rows:
            return
    if about.num_rows:
        raise RequestError(
            f"{file}: column `{image}` holds no bytes, only paths; embed the images (`datasets` "
            "does with to_parquet), or give a manifest with a column `image` of paths"
        )


@contextmanager
def _opened(file: str) -> Iterator[pq.ParquetFile]:
    """Nothing but what is asked for is read of a file far away."""
    fs, path = filesystem(file)
    with fs.open(path, "rb", **({"cache_type": "none"} if "://" in file else {})) as source:
        yield pq.ParquetFile(source)
