"""Tables of any format: names of columns, and text that is UTF-8."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests import (
    in_format,
    refs,
    refusal,
    written,
)


def test_columns_without_or_with_the_same_name(tmp_path: Path) -> None:
    assert "column 1 has no name" in refusal(written(tmp_path / "a.csv", ",image\n0,a.jpg\n"))
    assert "two columns are named `n`" in refusal(written(tmp_path / "b.csv", "image,n,n\na,1,2\n"))


def test_not_utf8(tmp_path: Path) -> None:
    for suffix, data, line in [
        (".csv", "image,n\na.jpg,1\nä.jpg,2\n".encode("latin-1"), 3),
        (".csv", "größe,image\n".encode("latin-1"), 1),
        (".csv", "image\na.jpg\n".encode("utf-16"), 1),
        (".jsonl", '{"image": "a.jpg"}\n{"image": "ä.jpg"}\n'.encode("latin-1"), 2),
    ]:
        (tmp_path / f"m{suffix}").write_bytes(data)
        message = refusal(str(tmp_path / f"m{suffix}"))
        assert f"line {line}: not UTF-8" in message and "save the manifest as UTF-8" in message


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, suffix: str) -> None:
    path = Path(in_format(tmp_path, suffix))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [ref.id for ref in refs(str(path))] == ["a", "b", "c"]
