"""Ids: by default a hash of image and target, otherwise those of the manifest; unique."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests import (
    default_id,
    in_format,
    refs,
    refusal,
    written,
)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_default_id_is_the_hash_of_image_and_target(tmp_path: Path, suffix: str) -> None:
    rows = [{"image": "ä.jpg", "target": 3}, {"image": "b.jpg", "target": None}]
    found = refs(in_format(tmp_path, suffix, rows))
    assert [ref.id for ref in found] == [
        default_id("ä.jpg", "3"),
        default_id("b.jpg", ""),
    ]


def test_same_image_with_two_targets_is_two_images(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,target\na.jpg,1\na.jpg,2\na.jpg,\n")
    assert len({ref.id for ref in refs(uri)}) == 3


def test_numbers_are_ids(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "id": 7}, {"image": "a.jpg", "id": 8}]
    for suffix in (".csv", ".jsonl", ".parquet"):
        assert [ref.id for ref in refs(in_format(tmp_path, suffix, rows))] == ["7", "8"]


def test_duplicate_and_empty_ids(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "id,image\nx,a.jpg\ny,b.jpg\nx,c.jpg\n,d.jpg\n  ,e.jpg\n")
    lines = refusal(uri).splitlines()
    assert lines[0] == f"{uri}:"
    assert [line.partition(":")[0].strip() for line in lines[1:]] == ["line 4", "line 5", "line 6"]
    assert "'x'" in lines[1] and "line 2" in lines[1] and "unique" in lines[1]
    assert "id is empty" in lines[2]


def test_repeated_image_without_ids_suggests_an_id_column(tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "m.csv", "image,target\na.jpg,1\nb.jpg,1\n./a.jpg,1\n"))
    assert "line 4: image and target are those of line 2" in message
    assert "column `id`" in message
