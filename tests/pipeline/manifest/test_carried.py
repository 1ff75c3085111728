"""Further columns of the manifest keep the types and the order the run began with."""

import pyarrow as pa
import pytest

from pipeline import RequestError
from pipeline.manifest.carried import coerce, reconcile

STORED = {"columns": [["b", "int64"], ["a", "string"], ["c", "double"]]}


def test_a_new_run_takes_the_manifests_types():
    found = {"x": pa.int64(), "t": pa.timestamp("us")}
    assert reconcile(found, None) == found


def test_a_longer_manifest_keeps_types_and_order():
    found = {"a": pa.int64(), "b": pa.int64(), "c": pa.int64()}
    columns = reconcile(found, STORED)
    assert list(columns.items()) == [("b", pa.int64()), ("a", pa.string()), ("c", pa.float64())]
    assert coerce({"a": 7, "b": 1, "c": 2}, columns) == {"b": 1, "a": "7", "c": 2}


def test_a_column_that_is_gone_becomes_null():
    columns = reconcile({"b": pa.int64()}, STORED)
    assert coerce({"b": 1}, columns) == {"b": 1, "a": None, "c": None}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"new": pa.string()}, "column 'new' .* use another --out"),
        ({"b": pa.string()}, "the run has int64, the manifest now has string"),
        ({"c": pa.bool_()}, "the run has double"),
    ],
)
def test_what_does_not_fit_is_refused(found, message):
    with pytest.raises(RequestError, match=message):
        reconcile(found, STORED)
