"""A Hugging Face dataset: Parquet files with images and masks, which `load_dataset` reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.export.destination import Destination
from pipeline.export.selection import ChosenMask, Selection
from pipeline.members import name_in
from pipeline.paths import all_redacted, redacted
from pipeline.tables import ExplainedImage, png

PER_FILE = 500  # images
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
MASK = pa.struct(
    [
        ("restart", pa.int32()),
        ("round", pa.int32()),
        ("area", pa.float64()),
        ("measured_area", pa.float64()),
        ("score_kept", pa.float32()),
        ("score_removed", pa.float32()),
        ("mask", PICTURE),
    ]
)


def write_hugging_face(selection: Selection, to: Destination, advance: Callable[[], None]) -> None:
    """`data/train-*.parquet`: a row for every image, with its file, its row in `images` and a list
    of masks in its own pixels; `README.md` is the dataset's card.
    """
    schema = _schema(selection.reader.images.schema)
    images = iter(selection)
    rows, number = list(islice(images, PER_FILE)), 0
    while rows:
        with to.file(f"data/train-{number:05d}.parquet") as stream:
            with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
                for one in rows:
                    row = _row(one, selection)
                    writer.write_table(pa.Table.from_pylist([row], schema=schema))
                    advance()
        rows, number = list(islice(images, PER_FILE)), number + 1
    to.put("README.md", _card(selection).encode())


def _row(one: ExplainedImage, selection: Selection) -> dict[str, Any]:
    name = name_in(redacted(str(one.row["image"])))
    picture = {"bytes": selection.originals.data(one.row), "path": name}
    masks = [_mask(mask) for mask in selection.masks(one)]
    row = all_redacted(one.row)
    return {**row, "image_uri": row["image"], "image": picture, "masks": masks}


def _mask(mask: ChosenMask) -> dict[str, Any]:
    picture = {"bytes": png(mask.pixels()), "path": f"{mask.name}.png"}
    return {**mask.values(), "mask": picture}


def _schema(images: pa.Schema) -> pa.Schema:
    """That of `images`, with the picture in place of its path, and the masks."""
    fields = [pa.field("image", PICTURE) if f.name == "image" else f for f in images]
    fields += [pa.field("image_uri", pa.string()), pa.field("masks", pa.list_(MASK))]
    features = {field.name: _feature(field.type) for field in fields}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([f.with_nullable(True) for f in fields], metadata=about)


def _feature(type_: pa.DataType) -> Any:
    """An Arrow type as `datasets` writes it."""
    if type_ == PICTURE:
        return {"_type": "Image"}
    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    if pa.types.is_list(type_):
        return {"_type": "List", "feature": _feature(type_.value_type)}
    name = {"double": "float64", "float": "float32"}.get(str(type_), str(type_))
    return {"_type": "Value", "dtype": name}


def _card(selection: Selection) -> str:
    fingerprint = all_redacted(selection.reader.fingerprint)
    return f"""---
configs:
- config_name: default
  data_files: data/train-*.parquet
tags:
- explainability
---
Masks of `{fingerprint["model"]}` by method {fingerprint["method"]}: for every image what the
classifier relies on. A mask is 255 where the image is kept; `score_kept` is the score of
`target_name` with only the mask kept, `score_removed` with the mask perturbed.
"""
