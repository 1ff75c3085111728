"""The committed tables of a run, as Arrow datasets. No torch here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs

from pipeline.errors import RequestError
from pipeline.store import RunFolder, Store
from pipeline.tables.schemas import schemas

if TYPE_CHECKING:
    import pyarrow.dataset as ds


class RunTables:
    """A run's committed tables; a table is what was committed when it is first read.

    fingerprint  what the run was started with
    Raises RequestError if there is no run at `uri`.
    """

    def __init__(self, uri: str) -> None:
        self.store = Store(uri)
        self.folder = RunFolder(self.store)
        fingerprint = self.folder.fingerprint()
        if fingerprint is None:
            raise RequestError(
                f"{self.store.uri}: no run here (_run/fingerprint.json is missing); expected the "
                "--out of an xaipipe run"
            )
        self.fingerprint = fingerprint
        self._datasets: dict[str, ds.Dataset] = {}

    @property
    def images(self) -> ds.Dataset:
        """One row per explained image."""
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

    def rows(self, table: str, id_: str) -> list[dict[str, Any]]:
        """Rows of one image in a table, ordered by restart, round and area where it has them."""
        import pyarrow.compute as pc

        found = self._dataset(table).to_table(filter=pc.field("id") == id_)
        keys = [k for k in ("restart", "round", "area") if k in found.column_names]
        rows: list[dict[str, Any]] = found.to_pylist()
        return sorted(rows, key=lambda row: [row[k] for k in keys])

    def ids(self, count: int) -> list[str]:
        """The first few ids of the images table."""
        found: list[str] = self.images.head(count, columns=["id"])["id"].to_pylist()
        return found

    def image(self, id_: str) -> dict[str, Any]:
        """The row of one image; RequestError naming some ids if there is none."""
        rows = self.rows("images", id_)
        if not rows:
            some = ", ".join(self.ids(3)) or "none yet"
            raise RequestError(f"{id_}: no such id in {self.store.uri}/images (it has: {some} ...)")
        return rows[0]

    def failure_reasons(self) -> list[tuple[tuple[str, str], int]]:
        """((stage, reason), images) of what failed and was not explained later, most first."""
        explained = set(self.images.to_table(columns=["id"])["id"].to_pylist())
        table = self.failures.to_table(columns=["id", "stage", "reason"]).to_pylist()
        last = {row["id"]: (row["stage"], row["reason"]) for row in table}
        return Counter(why for id_, why in last.items() if id_ not in explained).most_common()

    def _dataset(self, table: str) -> ds.Dataset:
        if table not in self._datasets:
            self._datasets[table] = self._open(table)
        return self._datasets[table]

    def _open(self, table: str) -> ds.Dataset:
        import pyarrow.dataset as ds  # imports pandas where it is installed; not for `xaipipe run`

        names = self.folder.table_files(table)
        if not names:
            return ds.dataset(schemas({})[table].empty_table())
        filesystem, root = None, self.store.uri
        if "://" in root:
            filesystem, root = url_to_fs(root)
        files = [f"{root}/{name}" for name in names]
        return ds.dataset(files, filesystem=filesystem, format="parquet")
