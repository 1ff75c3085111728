"""CSV: the lines of problems, rows of another length, quotes left open."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.manifest import Manifest
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


def test_a_cell_of_a_novel(tmp_path: Path) -> None:
    for cell in ("x" * 131_073, f'"{"x" * 131_073}"'):
        uri = written(tmp_path / "m.csv", f"image,n\na.jpg,1\nb.jpg,{cell}\nc.jpg,2\n")
        message = refusal(uri)
        assert numbers(message) == [3] and "quoting" not in message
        assert "a field has more than 131072 characters" in message
    good = written(tmp_path / "m.csv", f"image,n\na.jpg,{'x' * 131_072}\n")
    assert Manifest(str(good)).check().images == 1


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("rows", [3, 3_000_000])
def test_lines_that_end_as_on_old_macs(tmp_path: Path, suffix: str, rows: int) -> None:
    lines = ['{"image": "a.jpg"}'] * rows if suffix == "jsonl" else ["image", *["a.jpg"] * rows]
    message = refusal(written(tmp_path / f"m.{suffix}", "\r".join(lines) + "\r"))
    assert "lines end in a carriage return alone" in message and "save the file" in message
    assert "quoting" not in message


@pytest.mark.parametrize(
    ("name", "header", "word"),
    [
        ("m.csv", "id;image", "semicolons (;)"),
        ("m.csv", "id;image;size, in pixels", "semicolons (;)"),
        ("m.csv", "id\timage", "tabs"),
        ("m.csv", "id|image", "bars (|)"),
        ("m.tsv", "id,image", "commas"),
    ],
)
def test_another_delimiter_is_named(tmp_path: Path, name: str, header: str, word: str) -> None:
    message = refusal(written(tmp_path / name, f"{header}\n1;a.jpg\n"))
    assert f"columns are separated by {word}" in message and "rename" not in message
    assert "expected tabs in a .tsv file, commas in a .csv file" in message


def test_another_delimiter_between_quotes(tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "m.csv", '"id";"image"\n"1";"a.jpg"\n'))
    assert numbers(message) == [1] and "or columns are separated by something else" in message
