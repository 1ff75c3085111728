"""Metrics of a run and of those it was compared with, from the file that `evaluate` writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RequestError
from pipeline.results import SCHEMA, Interval, interval
from pipeline.tables import RunReader

Key = tuple[str, int]  # an image and a class of it


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: rows by run, a mean and its interval for each area (None: of no area)."""

    name: str
    areas: tuple[float | None, ...]
    runs: Mapping[str, Sequence[Interval | None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Content of a metrics file.

    own     its name for the reported run
    images  that were measured
    """

    own: str
    images: int
    metrics: tuple[Metric, ...]


def measured(reader: RunReader, uri: str, names: Sequence[str]) -> Measured:
    """The named metrics of a file; RequestError if it has none of this run."""
    table = _read(uri, names)
    own = _own(reader, uri, table)
    values: dict[tuple[str, float | None], dict[str, dict[Key, float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for batch in table.to_batches():
        for row in batch.to_pylist():
            values[row["metric"], row["area"]][row["run"]][row["id"], row["target"]] = row["value"]
    runs = pc.unique(table["run"]).to_pylist()
    found = []
    for name in names:
        areas = tuple(sorted((a for n, a in values if n == name), key=lambda a: a or 0))
        if areas:
            rows = {
                run: [_interval(name, values[name, area].get(run)) for area in areas]
                for run in runs
            }
            found.append(Metric(name, areas, rows))
    return Measured(own, pc.count_distinct(table["id"]).as_py(), tuple(found))


def _interval(metric: str, of_images: Mapping[Key, float] | None) -> Interval | None:
    return interval(metric, of_images) if of_images else None


def _read(uri: str, names: Sequence[str]) -> pa.Table:
    wanted = f"--metrics {uri}: %s; expected the metrics.parquet that `xaipipe evaluate` writes"
    try:
        with fsspec.open(uri, "rb") as stream:
            file = pq.ParquetFile(stream)
            missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
            if missing:
                raise RequestError(wanted % f"has no column {', '.join(missing)}")
            return pq.read_table(
                stream, columns=SCHEMA.names, filters=pc.field("metric").isin(list(names))
            )
    except (OSError, pa.ArrowInvalid) as error:
        raise RequestError(wanted % f"cannot be read ({error})") from error


def _own(reader: RunReader, uri: str, table: pa.Table) -> str:
    """The name of this run in the file: the end of its URI, with its method and its images."""
    pairs = table.group_by(["run", "method"]).aggregate([])
    runs = dict(zip(pairs["run"].to_pylist(), pairs["method"].to_pylist(), strict=True))
    ids = reader.images.to_table(columns=["id"])["id"]
    for run, method in runs.items():
        if method == reader.fingerprint["method"] and _names(run, reader.store.uri):
            of_run = table.filter(pc.field("run") == run)["id"]
            if pc.all(pc.is_in(of_run, value_set=ids)).as_py():
                return str(run)
    known = ", ".join(f"{run} ({method})" for run, method in runs.items()) or "no run"
    raise RequestError(
        f"--metrics {uri}: is of other runs: {known}; expected one by the name of "
        f"{reader.store.uri}, of method {reader.fingerprint['method']} and on its images. Measure "
        "it with `xaipipe evaluate`"
    )


def _names(run: str, uri: str) -> bool:
    """Whether a run's name in the file is the end of this address: `out`, `../out`, the whole."""
    parts = [part for part in PurePosixPath(run).parts if part not in (".", "..")]
    return bool(parts) and list(PurePosixPath(uri).parts[-len(parts) :]) == parts
