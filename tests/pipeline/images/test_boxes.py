"""Boxes of the ground truth: read from text, and wrong ones refused in a manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.images.boxes import parse_boxes
from tests.manifests import (
    numbers,
    refusal,
    written,
)


def test_boxes() -> None:
    assert parse_boxes("") == parse_boxes("  ") == []
    assert parse_boxes("1,2,3.5,4") == [(1.0, 2.0, 3.5, 4.0)]
    assert parse_boxes("0,0,1,1; 2, 2, 3, 3") == [(0.0, 0.0, 1.0, 1.0), (2.0, 2.0, 3.0, 3.0)]


@pytest.mark.parametrize(
    "text",
    ["1,2,3", "1,2,3,4,5", "a,b,c,d", "3,0,3,1", "0,3,1,2", "0,0,inf,1", "nan,0,1,1", "0,0,1,1;"],
)
def test_wrong_boxes(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError):
        parse_boxes(text)
    uri = written(tmp_path / "m.csv", f'image,bbox\na.jpg,"0,0,1,1"\nb.jpg,"{text}"\n')
    message = refusal(uri)
    assert numbers(message) == [3] and "expected x0,y0,x1,y1" in message
