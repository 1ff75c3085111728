"""Labels of regions: in the files of `regions` themselves, whoever reads them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.regions import LAYOUT, REGIONS
from pipeline.store import Committed, RunFolder, RunLock, hash_of
from pipeline.tables import RunReader, encode_table

Label = tuple[int | None, int | None]  # pattern, and the class that it is a pattern of


def relabelled(run: RunReader, labels: Sequence[Label], lock: RunLock) -> None:
    """Commits the regions anew, with these labels in the order of their files.

    What is resumed later is the same: the commits know the same images. They count once all are
    there; until then, and after a crash, each image has its old or its new rows.
    """
    folder = RunFolder(run.store, LAYOUT)
    folder.open(folder.fingerprint() or {}, lock)
    committed = Committed.of(folder)
    assert committed.contents is not None
    start, order = 0, {name: n for n, name in enumerate(run.derived_files("regions"))}
    commits = [c for c in committed.contents.commits() if c.name in committed.names]
    for commit in sorted(commits, key=lambda c: order.get(f"regions/{c.name}.parquet", -1)):
        tables = {file.rpartition("/")[0]: run.store.get(file) for file in commit.files}
        if "regions" in tables:
            table = pq.read_table(io.BytesIO(tables["regions"]))
            own = labels[start : start + len(table)]
            start += len(table)
            tables["regions"] = encode_table(_with(table, own))
        sizes = {name: len(data) for name, data in tables.items()}
        hashes = {name: hash_of(data) for name, data in tables.items()}
        folder.commit(tables, replace(commit, bytes=sizes, hashes=hashes))
    folder.begin(())
    folder.sweep(committed.contents)


def _with(table: pa.Table, labels: Sequence[Label]) -> pa.Table:
    for name, values in zip(("pattern", "pattern_target"), zip(*labels, strict=True), strict=True):
        field = REGIONS.field(name)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table
