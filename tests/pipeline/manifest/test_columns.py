"""Columns: which one names the image, which are carried along, which are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.manifests import (
    extras,
    in_format,
    refs,
    refusal,
    written,
)


def test_first_alias_names_the_image_and_the_others_are_extras(tmp_path: Path) -> None:
    aliases = ["url", "uri", "path", "file_name", "image"]
    for count in range(1, 6):
        uri = written(
            tmp_path / "m.csv", ",".join(aliases[:count]) + "\n" + ",".join("12345"[:count]) + "\n"
        )
        ref = refs(uri)[0]
        assert ref.image == str(tmp_path / "12345"[count - 1])
        assert ref.extra == {aliases[i]: i + 1 for i in range(count - 1)}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_missing_image_column(tmp_path: Path, suffix: str) -> None:
    message = refusal(in_format(tmp_path, suffix, [{"Images": "a.jpg", "label": 1}]))
    assert "no column `image` (or file_name, path, uri, url)" in message
    assert "found: Images, label" in message
    assert "rename `Images` to `image`" in message


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "name",
    "score target_name predicted predicted_name predicted_score width height crop".split(),
)
def test_columns_of_the_output_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    message = refusal(in_format(tmp_path, suffix, [{"image": "a.jpg", name: 1, "height_m": 2}]))
    assert f"`{name}` would collide" in message and f"to `manifest_{name}`" in message


def test_boxes_and_masks_are_text(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", 'image,bbox,mask\na.jpg,"0,0,1,1",m/1\nb.jpg,,\n')
    assert extras(uri) == {
        "bbox": (pa.string(), ["0,0,1,1", None]),
        "mask": (pa.string(), [str(tmp_path / "m/1"), None]),
    }
