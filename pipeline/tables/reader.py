"""Reading a run back: its tables, and its masks at any area and size."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any, overload

import pyarrow.parquet as pq

from pipeline.errors import RequestError
from pipeline.store import name_of
from pipeline.tables.explained import ExplainedImage, MaskArray, RunSettings
from pipeline.tables.run_tables import RunTables

if TYPE_CHECKING:
    from pipeline.tables.partitions import Partitions


@overload
def read(uri: str) -> RunReader: ...
@overload
def read(uri: list[str]) -> Partitions: ...
def read(uri: str | list[str]) -> RunReader | Partitions:
    """Open a run's output, or those of a run in parts, of which each may be a glob.

    RequestError if there is none at `uri`.
    """
    if isinstance(uri, str):
        return RunReader(uri)
    from pipeline.tables.partitions import Partitions

    return Partitions(uri)


class RunReader(RunTables):
    """A run's committed tables and masks.

    settings  what all its images have in common
    config    settings of its method (InrConfig, ...)
    networks  whether it stored networks, from which masks of any area can be rendered
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.settings = RunSettings.of(self.fingerprint, self.store.uri)
        self.config = self.settings.config
        self.networks = self.settings.networks

    def explained(self, id_: str, target: int | None = None) -> ExplainedImage:
        """All that the tables hold about one image and class, by default the first class
        explained; RequestError if they have nothing of this id, or of this class.
        """
        rows = self.images_of(id_)
        chosen = [r for r in rows if target is None or r["target"] == target]
        if not chosen:
            known = ", ".join(f"{r['target']} ({r['target_name']})" for r in rows)
            raise RequestError(f"{id_}: class {target} is not explained; explained are {known}")
        row = chosen[0]
        key = row["target"]

        def own(table: str) -> list[dict[str, Any]]:
            return [r for r in self.rows(table, id_) if r["target"] == key]

        return ExplainedImage(row, own("explanations"), own("masks"), self.settings)

    def each_explained(
        self, only: Container[tuple[str, int]] | None = None
    ) -> Iterator[ExplainedImage]:
        """All explained images, or those with these (id, class), shard by shard: files are read
        once, and one shard is in memory at a time.
        """
        for file in self.index.files["images"]:
            yield from self.of_commit(name_of(file), only)

    def of_commit(
        self, name: str, only: Container[tuple[str, int]] | None = None
    ) -> Iterator[ExplainedImage]:
        """The explained images of one commit, in the order in which they were explained.

        FileNotFoundError where its files are gone.
        """
        images, *others = (
            pq.read_table(io.BytesIO(self.store.get(f"{table}/{name}.parquet"))).to_pylist()
            for table in ("images", "explanations", "masks")
        )
        explanations, masks = map(_by_image, others)
        for row in images:
            key = row["id"], row["target"]
            if only is None or key in only:
                yield ExplainedImage(row, explanations[key], masks[key], self.settings)

    def render(
        self,
        id_: str,
        area: float,
        *,
        restart: int | None = None,
        round: int = 0,
        size: tuple[int, int] | None = None,
        original: bool = False,
        target: int | None = None,
    ) -> MaskArray:
        """A mask from the stored network: (height, width) uint8, 255 = keep.

        area      any fraction of the classifier's input in (0, 1), trained on or not
        restart   None: the best one of the round
        size      (height, width) of the part the classifier saw; None: the classifier's input
        target    class index, where several are explained; None: the first one
        original  the mask in the pixels of the upright original image instead, 0 outside the part
                  that the classifier saw; excludes `size`
        Raises RequestError for an unknown image, restart or round, for an impossible area, and for
        a run whose method stores no networks.
        """
        if original and size is not None:
            raise RequestError("render: give either size or original=True")
        one = self.explained(id_, target)
        if original:
            one.check_renders([area], round)
            return one.original(area, restart=restart, round=round)
        return one.render([area], restart=restart, round=round, size=size)[0]

    def stored_mask(
        self,
        id_: str,
        area: float,
        *,
        restart: int | None = None,
        round: int = 0,
        target: int | None = None,
    ) -> MaskArray:
        """The 8-bit mask in the table, (height, width) uint8, 255 = keep; see `render`."""
        return self.explained(id_, target).stored(area, restart=restart, round=round)

    def largest_area(self, round: int) -> float:
        """The largest area that a mask of this round can have."""
        return self.settings.largest_area(round)


def _by_image(rows: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        found[row["id"], row["target"]].append(row)
    return found
