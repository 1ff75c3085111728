"""Verdicts that the page lets people download: read, and checked against the run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RequestError
from pipeline.tables import THING, VERDICTS, WITHDRAWN, RunTables

COLUMNS = [*THING, "target_name", "area", "verdict", "note", "reviewed"]
WANTED = "expected the verdicts.csv that the page of this run lets you download"
Row = dict[str, Any]


def read_verdicts(uri: str, run: RunTables) -> list[Row]:
    """Rows for the table `reviews`; RequestError naming the line of the first wrong one."""
    rows = list(_rows(uri))
    problems = _strangers(rows, run)
    for line, row in rows:
        thing = tuple(row[name] for name in THING)
        if thing in problems:
            raise RequestError(f"{uri}, line {line}: {problems[thing]}; {WANTED}")
    if not rows:
        raise RequestError(f"{uri}: has no verdict; {WANTED}")
    return [row for _, row in rows]


def _rows(uri: str) -> Iterator[tuple[int, Row]]:
    """Line and row of each verdict."""
    try:
        with fsspec.open(uri, "rb") as stream:
            text = stream.read().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise RequestError(f"{uri}: has no column {', '.join(missing)}; {WANTED}")
        for cells in reader:
            try:
                yield reader.line_num, _row(cells)
            except (TypeError, ValueError) as error:
                raise RequestError(f"{uri}, line {reader.line_num}: {error}; {WANTED}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{uri}: cannot be read ({error}); {WANTED}") from error


def _row(cells: dict[str, str]) -> Row:
    """ValueError says what is wrong."""
    if cells["verdict"] not in (*VERDICTS, WITHDRAWN):
        raise ValueError(f"{cells['verdict']!r} is none of {', '.join((*VERDICTS, WITHDRAWN))}")
    numbers = {name: _integer(cells[name]) for name in ("target", "restart", "round", "pattern")}
    on_pattern = numbers["pattern"] is not None
    if numbers["target"] is None or on_pattern == (numbers["round"] is not None):
        raise ValueError("a verdict is on a target and either a restart and round, or a pattern")
    reviewed = datetime.fromisoformat(cells["reviewed"])
    if reviewed.tzinfo is None:
        raise ValueError(f"{cells['reviewed']!r} has no time zone")
    area = float(cells["area"]) if cells["area"] else None
    text = {name: cells[name] for name in ("target_name", "verdict", "note")}
    id_ = None if on_pattern else cells["id"]
    return {"id": id_, **numbers, **text, "area": area, "reviewed": reviewed}


def _integer(cell: str) -> int | None:
    return int(cell) if cell else None


def _strangers(rows: list[tuple[int, Row]], run: RunTables) -> dict[tuple[Any, ...], str]:
    """What is wrong with things that are not of this run."""
    ids = pa.array([row["id"] for _, row in rows if row["id"] is not None], pa.string())
    known = _regions(run, ids) | _patterns(run)
    names = {tuple(row[name] for name in THING) for _, row in rows}
    return {
        name: f"{run.store.uri} has no "
        + ", ".join(f"{k} {v}" for k, v in zip(THING, name, strict=True) if v is not None)
        for name in names - known
    }


def _regions(run: RunTables, ids: pa.Array) -> set[tuple[Any, ...]]:
    wanted = pc.field("id").isin(ids)
    images = run.images.to_table(columns=["id", "target"], filter=wanted)
    columns = [n for n in THING if n in run.explanations.schema.names]
    found = run.explanations.to_table(columns=columns, filter=wanted)
    found = found.join(images, [n for n in ("id", "target") if n in columns], join_type="inner")
    places = found.select(["id", "target", "restart", "round"]).to_pylist()
    return {(*row.values(), None) for row in places}


def _patterns(run: RunTables) -> set[tuple[Any, ...]]:
    table = run.derived("patterns")
    if table is None:
        return set()
    pairs = table.to_table(columns=["target", "pattern"]).to_pylist()
    return {(None, row["target"], None, None, row["pattern"]) for row in pairs}
