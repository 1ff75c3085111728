"""The committed tables of a run, as Arrow datasets. No torch here."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Container, Iterable
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from fsspec.core import url_to_fs

from pipeline.errors import RequestError
from pipeline.store import Committed, RunFolder, Store, derived
from pipeline.tables.damage import remember
from pipeline.tables.index import FileIndex
from pipeline.tables.schemas import check_version, schemas, with_later_columns

if TYPE_CHECKING:
    import pyarrow.dataset as ds


class RunTables:
    """A run's committed tables; they are what was committed when one is first read.

    fingerprint  what the run was started with
    Raises RequestError if there is no run at `uri`, or one of another schema version.
    """

    def __init__(self, uri: str) -> None:
        self.store = Store(uri)
        self.folder = RunFolder(self.store)
        remember(self.store)
        fingerprint = self.folder.fingerprint()
        if fingerprint is None:
            raise RequestError(
                f"{self.store.uri}: no run here (_run/fingerprint.json is missing); expected the "
                "--out of an xaipipe run"
            )
        check_version(self.store.uri, fingerprint)
        self.fingerprint = fingerprint
        self._datasets: dict[str, ds.Dataset] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._first: str | None = None  # id that was looked up before the index was needed
        self._of_first: FileIndex

    @cached_property
    def index(self) -> FileIndex:
        """Its commits, as they were when something was first read."""
        return FileIndex(self.folder.commits(), self.folder.layout.tables)

    def part(self, names: Iterable[str]) -> Self:
        """The same with the rows of these commits alone."""
        part = copy(self)
        part.index, part._datasets = self.index.part(names), {}
        return part

    @property
    def images(self) -> ds.Dataset:
        """One row per explained image and class."""
        return self._dataset("images")

    @property
    def explanations(self) -> ds.Dataset:
        """One row per (image, restart, round): the optimised network, if the method has one."""
        return self._dataset("explanations")

    @property
    def masks(self) -> ds.Dataset:
        """One row per (image, restart, round, area)."""
        return self._dataset("masks")

    @property
    def failures(self) -> ds.Dataset:
        """One row per failed attempt."""
        return self._dataset("failures")

    @property
    def reviews(self) -> ds.Dataset:
        """One row per region or pattern that people have judged: the last verdict on it."""
        return self._dataset("reviews")

    def rows(self, table: str, id_: str) -> list[dict[str, Any]]:
        """Rows of one image in a table, ordered by restart, round and area where it has them.

        Only the files that hold the image are opened, which the commit markers tell.
        """
        import pyarrow.compute as pc

        if table == "reviews":
            dataset = self.reviews
        elif files := self._index_of(id_).files_of(table, id_):
            dataset = self._complete(table, self._read(files))
        else:
            return []
        found = dataset.to_table(filter=pc.field("id") == id_)
        keys = [k for k in ("restart", "round", "area") if k in found.column_names]
        rows: list[dict[str, Any]] = found.to_pylist()
        return sorted(rows, key=lambda row: [row[k] for k in keys])

    def ids(self, count: int) -> list[str]:
        """The first few ids of the images table, a file at a time: Arrow's `head` reads ahead."""
        import pyarrow.parquet as pq

        found: dict[str, None] = {}  # an id has a row for each of its classes
        for name in self.index.files["images"]:
            if len(found) < count:
                file = pq.ParquetFile(io.BytesIO(self.store.get(name)), pre_buffer=False)
                ids = file.read(columns=["id"], use_threads=False)["id"].to_pylist()
                found |= dict.fromkeys(ids)
        return list(found)[:count]

    def image(self, id_: str) -> dict[str, Any]:
        """The row of one image; RequestError naming some ids if there is none."""
        return self.images_of(id_)[0]

    def images_of(self, id_: str) -> list[dict[str, Any]]:
        """The rows of one image, one for each class explained; RequestError if there is none."""
        rows = self.rows("images", id_)
        if not rows:
            some = ", ".join(self.ids(3)) or "none yet"
            raise RequestError(f"{id_}: no such id in {self.store.uri}/images (it has: {some} ...)")
        return rows

    def failure_reasons(self) -> list[tuple[tuple[str, str], int]]:
        """((stage, reason), images) of what failed and was not explained later, most first."""
        explained = set(self.images.to_table(columns=["id"])["id"].to_pylist())
        return most_frequent(self.failures, explained)

    def derived(self, table: str, of: str | None = None) -> ds.Dataset | None:
        """A table that another command has made of the run, such as `regions`; None if none has.

        of  the first table of its analysis, if it is not the first one
        Rows of what has been explained again since, or is no longer there, are left out. Tables
        that no analysis keeps (`pipeline.analysis`) are read as they lie there.
        """
        names = self.derived_files(table, of)
        return self._read(names) if names else None

    def derived_files(self, table: str, of: str | None = None) -> list[str]:
        """Names of the files of a derived table that count, sorted; see `derived`."""
        folder = RunFolder(self.store, derived(of or table))
        if folder.fingerprint() is None:
            return [name for name in self.store.list(table) if name.endswith(".parquet")]
        names = {f"{table}/{name}.parquet" for name in Committed.of(folder).names}
        return sorted(names & self.store.sizes(table).keys())

    def version(self, table: str) -> str:
        """Digest of which files make a derived table now: another one after any change."""
        return hashlib.blake2b("\n".join(self.derived_files(table)).encode()).hexdigest()[:16]

    def _dataset(self, table: str) -> ds.Dataset:
        if table not in self._datasets:
            self._datasets[table] = self._open(table)
        return self._datasets[table]

    def _open(self, table: str) -> ds.Dataset:
        import pyarrow.dataset as ds  # imports pandas where it is installed; not for `xaipipe run`

        if table == "reviews":
            from pipeline.tables.reviews import read_reviews

            return ds.dataset(read_reviews(self.store))
        names = self.index.files[table]
        if names:
            return self._complete(table, self._read(names))
        contrast = (self.fingerprint.get("objective") or {}).get("contrast") is not None
        return ds.dataset(schemas({}, contrast)[table].empty_table())

    def _complete(self, table: str, dataset: ds.Dataset) -> ds.Dataset:
        """Of any files of this schema version: columns that one has not are null there."""
        return dataset.replace_schema(with_later_columns(table, dataset.schema))

    def _index_of(self, id_: str) -> FileIndex:
        """An index that knows this id: of its commits alone, as long as no other one is asked for.

        To decode the markers of a million images takes seconds, to search them less than one.
        """
        if "index" in self.__dict__ or self._first not in (None, id_):
            return self.index
        if self._first is None:
            commits = self.folder.contents().holding(id_)
            self._first, self._of_first = id_, FileIndex(commits, self.folder.layout.tables)
        return self._of_first

    def _read(self, names: list[str]) -> ds.Dataset:
        import pyarrow.dataset as ds

        if "://" not in self.store.uri:
            files = [f"{self.store.uri}/{name}" for name in names]
            return ds.dataset(files, format="parquet")
        from pipeline.tables.remote import remote_files

        fs, root = url_to_fs(self.store.uri)
        sizes = {f"{root}/{name}": size for name, size in self._sizes_beside(names[0]).items()}
        files = [f"{root}/{name}" for name in names]
        return ds.dataset(files, filesystem=remote_files(fs, sizes), format="parquet")

    def _sizes_beside(self, name: str) -> dict[str, int]:
        """Sizes of the files of this one's table; they are listed once and never change."""
        table = name.rpartition("/")[0]
        if table not in self._sizes:
            self._sizes[table] = self.store.sizes(table)
        return self._sizes[table]


def most_frequent(
    failures: ds.Dataset, without: Container[str]
) -> list[tuple[tuple[str, str], int]]:
    """((stage, reason), images) of the last attempts at images besides these, most first."""
    table = failures.to_table(columns=["id", "stage", "reason"]).to_pylist()
    last = {row["id"]: (row["stage"], row["reason"]) for row in table}
    return Counter(why for id_, why in last.items() if id_ not in without).most_common()
