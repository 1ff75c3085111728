"""The metrics of several runs side by side, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables import RunReader, encode_table

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("method", pa.string()),
        ("id", pa.string()),
        ("target", pa.int64()),
        ("target_name", pa.string()),
        ("metric", pa.string()),
        ("area", pa.float64()),
        ("value", pa.float64()),
    ]
)
KEYS = ("id", "target")
Values = dict[float | None, dict[str, dict[str, float]]]  # area -> run -> image -> value


@dataclass(frozen=True, slots=True)
class MetricsTable:
    """Metrics that runs have of the same images and classes; columns as in SCHEMA."""

    table: pa.Table

    @classmethod
    def of(
        cls,
        readers: Mapping[str, RunReader],
        common: Sequence[tuple[str, int]],
        tables: Sequence[str] = ("metrics",),
    ) -> MetricsTable:
        """Run by run, each in the order of `common`.

        tables  of each run, as far as it has them
        """
        wanted = pa.table(
            {
                "id": pa.array([id_ for id_, _ in common], pa.string()),
                "target": pa.array([target for _, target in common], pa.int64()),
                "place": pa.array(range(len(common)), pa.int64()),
            }
        )
        return cls(pa.concat_tables([_of_run(n, r, wanted, tables) for n, r in readers.items()]))

    def runs(self) -> list[str]:
        """Names of the runs."""
        names: list[str] = self.table["run"].unique().to_pylist()
        return names

    def values(self, metric: str) -> Values:
        """Of one metric, areas ascending."""
        found: Values = defaultdict(lambda: defaultdict(dict))
        own = self.table.filter(pc.equal(self.table["metric"], metric))
        columns = (own[name].to_pylist() for name in ("area", "run", *KEYS, "value"))
        for area, run, id_, target, value in zip(*columns, strict=True):
            found[area][run][f"{id_} {target}"] = value
        return dict(sorted(found.items(), key=lambda item: item[0] or 0))

    def only(self, metrics: Sequence[str]) -> MetricsTable:
        """The same with these metrics alone."""
        wanted = pa.array(metrics, pa.string())
        return MetricsTable(self.table.filter(pc.is_in(self.table["metric"], value_set=wanted)))

    def write(self, uri: str) -> None:
        """All of it as one Parquet file, at a path or URL."""
        write_table(uri, self.table)


def write_table(uri: str, table: pa.Table) -> None:
    """A table as one Parquet file, at a path or URL."""
    with fsspec.open(uri, "wb") as stream:
        stream.write(encode_table(table))


def _of_run(name: str, reader: RunReader, wanted: pa.Table, tables: Sequence[str]) -> pa.Table:
    names = reader.images.to_table(columns=[*KEYS, "target_name"])
    wanted = wanted.join(names, list(KEYS), join_type="inner")
    found = [dataset.to_table() for table in tables if (dataset := reader.derived(table))]
    own = [table.join(wanted, list(KEYS), join_type="inner") for table in found]
    if not own:
        return SCHEMA.empty_table()
    whole = pa.concat_tables(own)
    whole = whole.sort_by([(key, "ascending") for key in ("place", "metric", "area")])
    method = str(reader.fingerprint["method"])
    for column, value in (("method", method), ("run", name)):
        whole = whole.append_column(column, pa.array([value] * len(whole), pa.string()))
    return whole.select(SCHEMA.names).cast(SCHEMA)
