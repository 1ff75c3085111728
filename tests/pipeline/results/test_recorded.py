"""Recorded rows: what is written is read again, and only images that all rows have are compared."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import RequestError
from pipeline.results import SCHEMA, RecordedRow, count_images, read_rows, side_by_side


def row(name, ids, value=0.5, **changes):
    rows = [
        {"run": name, "method": "m", "id": id_, "target": 1, "target_name": "one"}
        | {"metric": metric, "area": area, "value": value}
        for id_ in ids
        for metric, area in (("kept", 0.1), ("kept", 0.2), ("pointing", None))
    ]
    about = {"fingerprint": {"seed": 0, "weights": "w", "preprocess": {"resize": 256}}}
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    keys = {"images": "photos", "model": "torchvision:resnet50", "about": about, **changes}
    return RecordedRow(name=name, table=table, **keys)


def test_a_row_is_read_as_it_was_written_and_replaced_by_its_name(tmp_path):
    row("ep", "ab", 0.1).write(tmp_path)
    file = row("ep", "abc", 0.3).write(tmp_path)
    assert file.name == "photos-torchvision_resnet50-ep.parquet"
    (found,) = read_rows(tmp_path)
    wanted = row("ep", "abc", 0.3)
    assert (found.images, found.model, found.name) == (wanted.images, wanted.model, wanted.name)
    assert found.about == wanted.about and found.table.to_pylist() == wanted.table.to_pylist()


def test_rows_meet_on_the_images_that_all_of_them_have():
    rows = [row("ours", "dcba"), row("ep", "bcx", 0.2), row("ours", "ab", model="other")]
    (other, _), (group, shared) = side_by_side(rows)
    assert [r.name for r in group] == shared.runs() == ["ours", "ep"] and len(other) == 1
    assert count_images(shared.table) == 2 and count_images(rows[0].table) == 4
    assert shared.values("kept")[0.2] == {
        "ours": {"b 1": 0.5, "c 1": 0.5},
        "ep": {"b 1": 0.2, "c 1": 0.2},
    }


def test_rows_of_other_weights_are_not_compared():
    for changed in ({"weights": "others"}, {"preprocess": {"resize": 224}}):
        others = {"about": {"fingerprint": {**row("ours", "ab").about["fingerprint"], **changed}}}
        assert len(side_by_side([row("ours", "ab"), row("ep", "ab", **others)])) == 2


def test_what_is_no_row_is_refused(tmp_path):
    with pytest.raises(RequestError, match="holds no recorded rows"):
        read_rows(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match=r"a\.parquet: is no recorded row"):
        read_rows(tmp_path)
    with pytest.raises(RequestError, match="ours, ep have no image in common"):
        side_by_side([row("ours", "ab"), row("ep", "cd")])
