"""The schemas: equal rows give equal bytes, and Hugging Face's features are the columns."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.tables import encode
from pipeline.tables.schemas import schemas

ARROW = {"string": pa.string(), "int64": pa.int64(), "int32": pa.int32(), "bool": pa.bool_()}
ARROW |= {"float64": pa.float64(), "float32": pa.float32()}


def test_hugging_face_knows_every_column_of_the_masks():
    schema = schemas({})["masks"]
    data = encode([], schema)
    metadata = pq.read_schema(io.BytesIO(data)).metadata
    assert metadata[b"xaipipe.schema_version"] == b"2"
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features.pop("mask") == {"_type": "Image"}
    assert {name: ARROW[f["dtype"]] for name, f in features.items()} == {
        field.name: field.type for field in schema if field.name != "mask"
    }


def test_columns_of_the_contract():
    names = {table: schema.names for table, schema in schemas({"split": pa.string()}).items()}
    assert names["images"][-4:] == ["crop", "bytes", "digest", "split"]
    assert names["explanations"][:3] == ["id", "target", "restart"]
    assert names["masks"][:6] == ["id", "target", "restart", "round", "best", "area"]
