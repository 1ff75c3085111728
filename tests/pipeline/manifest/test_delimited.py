"""CSV: the lines of problems, rows of another length, quotes left open."""

from __future__ import annotations

from pathlib import Path

from tests.manifests import (
    numbers,
    refusal,
    written,
)


def test_lines_of_a_csv_are_physical_lines(tmp_path: Path) -> None:
    text = 'image,note\r\na.jpg,"two\r\nlines"\r\n\r\n,"also\r\ntwo"\r\nb.jpg,x\r\n,y\r\n'
    assert numbers(refusal(written(tmp_path / "m.csv", text))) == [5, 8]


def test_rows_with_too_many_or_too_few_fields(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,n\na.jpg,1\nb,c.jpg,2\nd.jpg\n")
    message = refusal(uri)
    assert "line 3: 3 fields where the header has 2" in message
    assert "line 4: 1 fields where the header has 2" in message


def test_quotes_that_are_never_closed(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", 'image,n\na.jpg,1\nb.jpg,"2\n' + "c.jpg,3\n" * 50)
    message = refusal(uri)
    assert numbers(message) == [3] and "quoting" in message
