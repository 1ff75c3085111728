"""Which images of several runs can be held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.errors import RequestError
from pipeline.tables import RunTables


def same_class(
    runs: Sequence[RunTables], ids: Sequence[str] | None = None
) -> tuple[list[tuple[str, int]], int]:
    """(id, class) that all runs have explained, in order, and how many of the images they share
    are left out because they explain different classes of them.

    ids  only these; RequestError for one that a run has not explained
    """
    keys = [{(row["id"], row["target"]) for row in _rows(run, ids)} for run in runs]
    shared = set.intersection(*({id_ for id_, _ in of_run} for of_run in keys))
    if not shared:
        where = ", ".join(run.store.uri for run in runs)
        raise RequestError(f"no image was explained in all of: {where}")
    same = set.intersection(*keys)
    order = {id_: n for n, id_ in enumerate(ids or sorted(shared))}
    return sorted(same, key=lambda key: (order[key[0]], key[1])), len(
        shared - {id_ for id_, _ in same}
    )


def _rows(run: RunTables, ids: Sequence[str] | None) -> list[dict[str, Any]]:
    if ids is not None:
        return [row for id_ in ids for row in run.images_of(id_)]
    rows: list[dict[str, Any]] = run.images.to_table(columns=["id", "target"]).to_pylist()
    return rows
