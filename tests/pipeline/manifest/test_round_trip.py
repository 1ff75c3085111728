"""Whatever ids, paths and cells hold, a manifest of each format gives them back as they were."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.manifest import Manifest
from tests.manifests import default_id, refs

Table = list[dict[str, str]]
QUIET = [HealthCheck.function_scoped_fixture]  # each example writes the file anew
few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=QUIET)

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")
cells = st.text(characters, min_size=1, max_size=12).filter(str.strip)
awkward = st.sampled_from(
    [",", ";", "\t", '"', '""', "a,b", "'", "|", "ä b", "#1", "[/red]", "\\"]
).map("i".__add__)
names = st.text(st.sampled_from('abc ,;"\tü#%&'), min_size=1, max_size=8).map(lambda t: f"x{t}.png")


def delimited(delimiter: str, quoting: Any) -> Callable[[Table], bytes]:
    def write(rows: Table) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, quoting=quoting)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    return write


def parquet(rows: Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


WRITERS: dict[str, Callable[[Table], bytes]] = {
    "plain.csv": delimited(",", csv.QUOTE_MINIMAL),
    "quoted.csv": delimited(",", csv.QUOTE_ALL),
    "plain.tsv": delimited("\t", csv.QUOTE_MINIMAL),
    "lines.jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    "unicode.jsonl": lambda rows: "".join(
        json.dumps(row, ensure_ascii=False) + "\n" for row in rows
    ).encode(),
    "table.parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
@few
@given(ids=st.lists(st.one_of(cells, awkward), min_size=1, max_size=8, unique=True), data=st.data())
def test_ids_paths_and_cells_come_back(
    name: str, ids: list[str], data: st.DataObject, tmp_path: Path
) -> None:
    rows = [
        {
            "id": id_,
            "image": data.draw(names, "image"),
            "note": "x" + data.draw(st.one_of(cells, awkward), "note"),  # never like a number
        }
        for id_ in ids
    ]
    file = tmp_path / name
    file.write_bytes(WRITERS[name](rows))
    found = refs(str(file))
    assert [(ref.id, ref.extra["note"]) for ref in found] == [(r["id"], r["note"]) for r in rows]
    assert [ref.image for ref in found] == [f"{tmp_path}/{row['image']}" for row in rows]


@few
@given(ids=st.lists(cells, min_size=2, max_size=6, unique=True), data=st.data())
def test_an_id_that_comes_twice_is_refused(
    ids: list[str], data: st.DataObject, tmp_path: Path
) -> None:
    twice = data.draw(st.sampled_from(ids), "twice")
    place = data.draw(st.integers(0, len(ids)), "place")
    rows = [{"id": i, "image": "a.png"} for i in [*ids[:place], twice, *ids[place:]]]
    file = tmp_path / "m.jsonl"
    file.write_bytes(WRITERS["lines.jsonl"](rows))
    with pytest.raises(RequestError, match="ids have to be unique"):
        Manifest(str(file)).check()


@few
@given(paths=st.lists(names, min_size=1, max_size=6, unique=True), data=st.data())
def test_default_ids_depend_on_path_and_target_alone(
    paths: list[str], data: st.DataObject, tmp_path: Path
) -> None:
    """Not on the order of the rows, their number, the format, or where the data is mounted."""
    expected = {path: default_id(path, "") for path in paths}
    assert len(set(expected.values())) == len(paths)
    order = data.draw(st.permutations(paths), "order")
    some = order[: data.draw(st.integers(1, len(order)), "some")]
    name = data.draw(st.sampled_from(sorted(WRITERS)), "format")
    for mount in ("here", "else where"):
        (tmp_path / mount).mkdir(exist_ok=True)
        file = tmp_path / mount / name
        file.write_bytes(WRITERS[name]([{"image": path} for path in some]))
        assert [ref.id for ref in refs(str(file))] == [expected[path] for path in some]
