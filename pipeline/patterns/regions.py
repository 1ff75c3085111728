"""The regions of a run as patterns are looked for in them, read a few classes at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.tables import Row, RunReader

ROOM = 2**30  # bytes of features in memory
FLOAT = 4  # bytes
KEYS = ["id", "target"]
REGION = [*KEYS, "restart", "round", "score_kept", "score_outside", "outside"]
IMAGE = [*KEYS, "target_name", "predicted", "predicted_name"]


class Regions:
    """Rows of `regions`, in the order in which their files have them.

    rows  without features, with what is known of their images
    Raises RequestError where there are none.
    """

    def __init__(self, run: RunReader) -> None:
        dataset, context = run.derived("regions"), run.derived("context", of="regions")
        if dataset is None or context is None:
            raise RequestError(
                f"{run.store.uri}: has no regions yet; make them with "
                f"`xaipipe regions {run.store.uri}`"
            )
        self.fragments = list(dataset.get_fragments())
        known = self._known(run.images.to_table(columns=IMAGE))
        for row in context.to_table(columns=[*KEYS, "score_nothing"]).to_pylist():
            known[row["id"], row["target"]] |= row
        self.rows: list[Row] = [
            row | known[row["id"], row["target"]]
            for fragment in self.fragments
            for row in fragment.to_table(columns=REGION).to_pylist()
        ]
        self.lacking = run.images.count_rows() - len({(r["id"], r["target"]) for r in self.rows})

    def _known(self, images: pa.Table) -> dict[tuple[str, int], Row]:
        found: dict[tuple[str, int], Row] = defaultdict(dict)
        for row in images.to_pylist():
            found[row["id"], row["target"]] = row
        return found

    def features(self, groups: Collection[list[int]]) -> Iterator[NDArray[Any]]:
        """Features (N, D) of groups of rows, given by their places; as few passes as fit."""
        waiting = list(groups)
        while waiting:
            part: list[list[int]] = []
            size, row = 0, FLOAT * self._width()
            while waiting and (not part or size + row * len(waiting[0]) <= ROOM):
                size += row * len(waiting[0])
                part.append(waiting.pop(0))
            yield from self._of(part)

    def _of(self, groups: Collection[list[int]]) -> Iterator[NDArray[Any]]:
        wanted = np.zeros(len(self.rows), bool)
        for places in groups:
            wanted[places] = True
        where = wanted.cumsum() - 1
        found = np.empty((wanted.sum(), self._width()), np.float32)
        row = 0
        for fragment in self.fragments:
            for batch in fragment.to_batches(columns=["features"]):
                chosen = wanted[row : row + len(batch)]
                values = batch["features"].flatten().to_numpy(zero_copy_only=False)
                found[where[row : row + len(batch)][chosen]] = values.reshape(len(batch), -1)[
                    chosen
                ]
                row += len(batch)
        yield from (found[where[places]] for places in groups)

    def _width(self) -> int:
        return len(self.fragments[0].head(1, columns=["features"])["features"][0])
