"""For tests of a run's folder: a commit, its tables, and all files that lie there."""

from __future__ import annotations

from typing import Any

import fsspec

from pipeline.store import TABLES, Commit, shard_name

IDS = ("a", "b", "ü/c")
SHARD = shard_name(IDS)
CONTENT = {table: table.encode() * 50 for table in TABLES}
COMMIT = Commit(
    shard=SHARD,
    explained=IDS[:2],
    failed=IDS[2:],
    rows={"images": 2, "failures": 1},
    bytes={table: len(content) for table, content in CONTENT.items()},
    seconds=1.5,
    finished=1e9,
    worker="node-1/0",
)
FINGERPRINT: dict[str, Any] = {
    "method": {"name": "inr", "restarts": 1, "areas": (0.1, 0.2)},
    "weights": "ab12",
    "schema": 1,
}


def everything(uri: str) -> dict[str, bytes]:
    """All files below `uri` as another program sees them."""
    fs, root = fsspec.url_to_fs(uri, use_listings_cache=False)
    return {path[len(root) + 1 :]: fs.cat_file(path) for path in fs.find(root)}
