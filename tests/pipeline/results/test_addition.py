"""A row and the images behind it: joined as if measured at once, refused where they do not fit."""

from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline import RequestError
from pipeline.results import SCHEMA, RecordedRow, added, check_addition, count_images


def row(ids, **about):
    rows = [
        {"run": "ep", "method": "ep", "id": id_, "target": 1, "target_name": "one"}
        | {"metric": "kept", "area": area, "value": 0.5}
        for id_ in ids
        for area in (0.1, 0.2)
    ]
    about = {
        "fingerprint": {"seed": 0, "weights": "w", "optimise": {"rate": 0.1}},
        "versions": {"torch": "2.15.0", "xaipipe": None},
        "cpu_seconds": 10.0,
        "baselines": ["telea"],
        "limit": len(ids),
        **about,
    }
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    return RecordedRow(images="photos", model="m", name="ep", about=about, table=table)


def test_images_seconds_and_versions_of_both():
    new = {"torch": "2.16.0", "xaipipe": "0.2.0"}
    whole = added(row("ab"), row("c", skip=2, cpu_seconds=40.0, versions=new))
    assert whole.table.to_pylist() == row("abc").table.to_pylist()
    assert whole.about["limit"] == count_images(whole.table) == 3 and whole.about["skip"] == 0
    assert whole.about["cpu_seconds"] == pytest.approx((10 + 10 + 40) / 3)
    assert whole.about["versions"] == {"torch": "2.15.0, 2.16.0", "xaipipe": "0.2.0"}
    assert added(row("ab", cpu_seconds=None), row("c")).about["cpu_seconds"] is None
    assert added(row("ab"), row("c", limit=None)).about["limit"] is None
    assert added(whole, row("d")).about["versions"]["torch"] == "2.15.0, 2.16.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skip": 3}, "photos-m-ep.parquet ends with image 2; expected --skip 2"),
        ({"fingerprint": {"seed": 0, "weights": "w", "optimise": {"rate": 0.2}}}, "rate 0.1, now"),
        ({"baselines": []}, "baselines"),
        ({"copy_weights": "c"}, "copy_weights nothing, now it is"),
    ],
)
def test_other_images_or_settings_are_refused(changes, message):
    names = ("preset", "select", "again", "judge_weights", "copy_weights")
    about = {**dict.fromkeys(names), **row("ab").about, "skip": 2}
    check_addition(row("ab"), about)
    with pytest.raises(RequestError, match=message):
        check_addition(row("ab"), {**about, **changes})
    last = replace(row("ab"), about={**row("ab").about, "limit": None})
    with pytest.raises(RequestError, match="to the end"):
        check_addition(last, about)
