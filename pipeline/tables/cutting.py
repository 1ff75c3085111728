"""Commits without some of their images."""

from __future__ import annotations

import io
from collections.abc import Set
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.store import Commit, Store, hash_of, shard_name
from pipeline.tables.schemas import encode


def cut(store: Store, commit: Commit, ids: Set[str]) -> tuple[dict[str, bytes], Commit]:
    """A commit's tables and marker without these explained images; failed attempts stay."""
    tables = {}
    rows = {name: 0 for name in commit.rows}
    for file in commit.files:
        table, data = file.rpartition("/")[0], store.get(file)
        kept = pq.read_table(io.BytesIO(data))
        if not table.endswith("failures"):
            gone = pc.is_in(kept["id"], value_set=pa.array(sorted(ids), pa.string()))
            kept = kept.filter(pc.invert(gone))
        rows[table] = kept.num_rows
        if kept.num_rows:
            tables[table] = encode(kept.to_pylist(), kept.schema)
    explained = tuple(id_ for id_ in commit.explained if id_ not in ids)
    return tables, replace(
        commit,
        shard=shard_name([*explained, *commit.failed], "cut"),
        explained=explained,
        rows=rows,
        bytes={table: len(data) for table, data in tables.items()},
        hashes={table: hash_of(data) for table, data in tables.items()},
        stands={id_: stands for id_, stands in commit.stands.items() if id_ not in ids},
    )
