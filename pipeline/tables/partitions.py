"""Runs over parts of a data set, each with a driver of its own, read as one."""

from __future__ import annotations

import glob
from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs

from pipeline.errors import RequestError
from pipeline.tables.explained import ExplainedImage, MaskArray
from pipeline.tables.reader import RunReader

if TYPE_CHECKING:
    import pyarrow.dataset as ds


class Partitions:
    """Runs of one configuration over different images.

    parts  the runs, in the order given
    uris   their outputs; a glob stands for all that it matches, in order
    RequestError if one is no run, or of another configuration than the first. An id that several
    parts have is looked up in the first of them.
    """

    def __init__(self, uris: Sequence[str]) -> None:
        self.parts = [RunReader(uri) for pattern in uris for uri in _matching(pattern)]
        if not self.parts:
            raise RequestError("no runs to read: give the --out of one at least")
        first = self.parts[0]
        for part in self.parts[1:]:
            if differ := _different(first.fingerprint, part.fingerprint):
                raise RequestError(
                    f"{part.store.uri}: was made with another {', '.join(differ)} than "
                    f"{first.store.uri}; expected parts of one run"
                )
        self.settings, self.config, self.networks = first.settings, first.config, first.networks

    @property
    def images(self) -> ds.Dataset:
        """One row per explained image, as `RunTables.images`; likewise the others."""
        return self._union([part.images for part in self.parts])

    @property
    def explanations(self) -> ds.Dataset:
        """One row per (image, restart, round)."""
        return self._union([part.explanations for part in self.parts])

    @property
    def masks(self) -> ds.Dataset:
        """One row per (image, restart, round, area)."""
        return self._union([part.masks for part in self.parts])

    @property
    def failures(self) -> ds.Dataset:
        """One row per failed attempt."""
        return self._union([part.failures for part in self.parts])

    def derived(self, table: str, of: str | None = None) -> ds.Dataset | None:
        """A table that another command has made of the parts; None if of none of them."""
        found = [part.derived(table, of) for part in self.parts]
        there = [dataset for dataset in found if dataset is not None]
        return self._union(there) if there else None

    def ids(self, count: int) -> list[str]:
        """The first few ids of the images tables."""
        found: list[str] = []
        for part in self.parts:
            found += part.ids(count - len(found))
        return found

    def part_of(self, id_: str) -> RunReader:
        """The run that has explained this image; RequestError if none has."""
        for part in self.parts:
            if part.rows("images", id_):
                return part
        raise RequestError(f"{id_}: no such id in any of the {len(self.parts)} parts")

    def explained(self, id_: str, target: int | None = None) -> ExplainedImage:
        """As `RunReader.explained`."""
        return self.part_of(id_).explained(id_, target)

    def each_explained(
        self, only: Container[tuple[str, int]] | None = None
    ) -> Iterator[ExplainedImage]:
        """As `RunReader.each_explained`, part by part."""
        for part in self.parts:
            yield from part.each_explained(only)

    def render(self, id_: str, area: float, **options: Any) -> MaskArray:
        """As `RunReader.render`."""
        return self.part_of(id_).render(id_, area, **options)

    def stored_mask(self, id_: str, area: float, **options: Any) -> MaskArray:
        """As `RunReader.stored_mask`."""
        return self.part_of(id_).stored_mask(id_, area, **options)

    def _union(self, datasets: Sequence[ds.Dataset]) -> ds.Dataset:
        import pyarrow as pa
        import pyarrow.dataset as ds

        try:
            return ds.dataset(list(datasets))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise RequestError(
                f"the parts' tables have columns of different types: {error}; read the parts one "
                "by one"
            ) from error


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what differs, but for the manifests' columns."""
    names = sorted(one.keys() | other.keys())
    return [name for name in names if name != "columns" and one.get(name) != other.get(name)]


def _matching(pattern: str) -> list[str]:
    if not glob.has_magic(pattern):
        return [pattern]
    fs, path = url_to_fs(pattern)
    tail = "/_run/fingerprint.json"
    found = sorted(name.removesuffix(tail) for name in fs.glob(path.rstrip("/") + tail))
    if not found:
        raise RequestError(f"{pattern}: matches no run (_run/fingerprint.json is missing)")
    return [fs.unstrip_protocol(name) if "://" in pattern else name for name in found]
