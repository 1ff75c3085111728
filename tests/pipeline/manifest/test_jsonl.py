"""JSON lines: their problems, and columns that differ from line to line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tests.manifests import (
    extras,
    numbers,
    refusal,
    written,
)


def test_problems_of_json_lines(tmp_path: Path) -> None:
    lines = [
        '{"image": "a.jpg"}',
        "",
        '{"image": "b.jpg"',
        '["c.jpg"]',
        '{"image": 4}',
        '{"target": 1}',
        '{"image": null}',
        '{"image": "d.jpg", "mask": 3}',
        '{"image": "e.jpg", "note": "\\ud800"}',
        '{"image": "f.jpg", "bbox": [1, 2, 3, 4]}',
        '{"path": "g.jpg"}',
    ]
    message = refusal(written(tmp_path / "m.jsonl", "\n".join(lines)))
    assert numbers(message) == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert "line 3: not JSON" in message and "line 4: JSON list, expected an object" in message
    assert "the image is in `path`" in message


def test_json_lines_that_name_the_image_differently(tmp_path: Path) -> None:
    text = '{"path": "a.jpg"}\n{"path": "b.jpg", "image": "c.jpg"}\n'
    assert "in `image`, the first ones in `path`" in refusal(written(tmp_path / "m.jsonl", text))


def test_json_columns_may_come_up_late(tmp_path: Path) -> None:
    text = '{"image": "a.jpg", "x": 1}\n{"y": true, "image": "b.jpg"}\n'
    assert extras(written(tmp_path / "m.jsonl", text)) == {
        "x": (pa.int64(), [1, None]),
        "y": (pa.bool_(), [None, True]),
    }
    late = text + '{"image": "c.jpg", "score": 1}\n'
    assert "`score`" in refusal(written(tmp_path / "m.jsonl", late))
