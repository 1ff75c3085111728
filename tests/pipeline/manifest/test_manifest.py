"""Manifests: alike in every format, selected, limited, and streamed after a check."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RequestError
from pipeline.manifest.manifest import ImageRef, Manifest
from tests.manifests import (
    CLASSES,
    FORMATS,
    in_format,
    refs,
    refusal,
    standing,
    written,
)


@pytest.mark.parametrize("suffix", [*FORMATS, ".CSV"])
def test_every_format_gives_the_same_images(tmp_path: Path, suffix: str) -> None:
    uri = in_format(tmp_path, suffix)
    assert refs(uri, classes=CLASSES) == [
        ImageRef(
            id="a",
            image=str(tmp_path / "x/1.jpg"),
            target=1,
            extra={"split": "train", "weight": 0.5},
            stands=standing("x/1.jpg", 1),
        ),
        ImageRef(
            id="b",
            image="/data/2.jpg",
            target=None,
            extra={"split": "val", "weight": None},
            stands=standing("/data/2.jpg", None),
        ),
        ImageRef(
            id="c",
            image="s3://bucket/3.jpg",
            target=0,
            extra={"split": None, "weight": 2.0},
            stands=standing("bucket/3.jpg", 0),
        ),
    ]
    types = Manifest(uri).check().extra_types
    assert list(types.items()) == [("split", pa.string()), ("weight", pa.float64())]


@pytest.mark.parametrize("suffix", FORMATS)
def test_select_skip_and_limit(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"image": f"{i}.jpg", "split": "train" if i % 2 else "val", "fold": i % 3}
        for i in range(12)
    ]
    uri = in_format(tmp_path, suffix, rows)

    def kept(**options: Any) -> list[int]:
        return [int(Path(ref.image).stem) for ref in refs(uri, **options)]

    assert kept() == list(range(12))
    assert kept(limit=5) == [0, 1, 2, 3, 4]
    assert kept(limit=100) == list(range(12))
    assert kept(select={"split": "train"}) == [1, 3, 5, 7, 9, 11]
    assert kept(select={"split": "train", "fold": "1"}) == [1, 7]
    assert kept(select={"split": "val"}, limit=2) == [0, 2]
    assert kept(skip=10) == [10, 11]
    assert kept(select={"split": "train"}, skip=2, limit=3) == [5, 7, 9]
    assert kept(limit=7) + kept(skip=7) == list(range(12))
    assert "no row is left after the first 12 (skip)" in refusal(uri, skip=12)
    assert "no row has split=test" in refusal(uri, select={"split": "test"})
    message = refusal(uri, select={"part": "train"})
    assert "no column `part`" in message and "image, split, fold" in message


def test_rows_beyond_the_limit_are_not_read(tmp_path: Path) -> None:
    good = "".join(f"{i}.jpg,1\n" for i in range(3))
    uri = written(tmp_path / "m.csv", "image,n\n" + good + ",\nx\n")
    assert len(refs(uri, limit=3)) == 3
    assert "line 5" in refusal(uri, limit=4)
    assert Manifest(uri, limit=3).check().extra_types == {"n": pa.int64()}
    with pytest.raises(RequestError, match="limit is 0"):
        Manifest(uri, limit=0)
    with pytest.raises(RequestError, match="skip is -1"):
        Manifest(uri, skip=-1)


def test_select_reads_a_bool_as_json_and_as_python_write_it(tmp_path: Path) -> None:
    lines = '{"image": "a.jpg", "keep": true}\n{"image": "b.jpg", "keep": false}\n'
    uri = written(tmp_path / "m.jsonl", lines)
    for text in ("true", "True"):
        assert [Path(ref.image).name for ref in refs(uri, select={"keep": text})] == ["a.jpg"]


def test_types_are_inferred_from_the_selected_rows(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,split,x\na.jpg,train,1\nb.jpg,val,none\n")
    assert Manifest(uri, select={"split": "train"}).check().extra_types["x"] == pa.int64()
    assert Manifest(uri).check().extra_types["x"] == pa.string()


def test_iterating_checks_first_and_can_be_repeated(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,n\na.jpg,1\nb.jpg,2\n")
    manifest = Manifest(uri)
    assert [ref.extra["n"] for ref in manifest] == [1, 2]
    assert list(manifest) == list(manifest)
    with pytest.raises(RequestError, match="line 2"):
        list(Manifest(written(tmp_path / "w.csv", "image,n\n,1\n")))


def test_manifest_that_changes_after_the_check_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    manifest = Manifest(written(path, "image,n\na.jpg,1\nb.jpg,2\n"))
    manifest.check()
    written(path, "image,n\na.jpg,1\nb.jpg,two\n")
    images = iter(manifest)
    assert next(images).extra == {"n": 1}
    with pytest.raises(RequestError, match=r"line 3: .*changed since"):
        next(images)


def test_many_rows_against_plain_python(tmp_path: Path) -> None:
    rows = [[f"i{n}", f"d{n % 7}/{n}.jpg", str(n % 3), str(n * 0.25)] for n in range(20_000)]
    path = tmp_path / "m.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "image", "target", "w"], *rows])
    found = refs(str(path), classes=["a", "b", "c"])
    assert [[r.id, r.image, str(r.target), str(r.extra["w"])] for r in found] == [
        [ref_id, f"{tmp_path}/{image}", target, w] for ref_id, image, target, w in rows
    ]
    pq.write_table(pa.table({"image": [row[1] for row in rows]}), tmp_path / "m.parquet")
    assert [r.image for r in refs(str(tmp_path / "m.parquet"))] == [r.image for r in found]
