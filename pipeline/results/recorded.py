"""Recorded rows of comparisons: the metrics of one method on one classifier and set of images.

A row is one small Parquet file in a folder of them, so that adding one does not mean running the
others again. Its columns are those of `MetricsTable`; its metadata say how it was made: versions,
the run's fingerprint (settings, seed, digest of the weights), passes, processor seconds an image.
"""

from __future__ import annotations

import json
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inr_core import METHODS
from pipeline.errors import RequestError
from pipeline.results.metrics_table import SCHEMA, MetricsTable
from pipeline.tables import RunReader, encode_table

ABOUT = b"xaipipe.row"
ASKED = {"_judge": "judge_weights", "_copy": "copy_weights"}  # whom metrics that end so ask


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRow:
    """A row of a comparison.

    images  name of the set of images; model: of the classifier; name: of the row
    about   how it was made, plain data
    table   its metrics, as `MetricsTable`
    """

    images: str
    model: str
    name: str
    about: Mapping[str, Any]
    table: pa.Table

    @property
    def file(self) -> str:
        """Its name in a folder; an earlier row of the same name is replaced."""
        parts = (self.images, self.model, self.name)
        return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts) + ".parquet"

    def write(self, folder: Path) -> Path:
        """Write it into a folder, which is made."""
        keys = {"images": self.images, "model": self.model, "name": self.name}
        metadata = {ABOUT: json.dumps({**keys, **self.about}, sort_keys=True).encode()}
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / self.file
        file.write_bytes(encode_table(self.table.replace_schema_metadata(metadata)))
        return file


def about_run(reader: RunReader) -> dict[str, Any]:
    """How a run was made: fingerprint, passes of an image, versions of what computed."""
    libraries = ("xaipipe", "torch", "torchvision", "opencv-python-headless")
    return {
        "fingerprint": dict(reader.fingerprint),
        "passes": METHODS[reader.fingerprint["method"]].passes(reader.config),
        "versions": {"python": platform.python_version(), **{n: _version(n) for n in libraries}},
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:  # a checkout that is not installed
        return None


def read_rows(folder: Path) -> list[RecordedRow]:
    """The rows of a folder; RequestError if there is none, or for another kind of Parquet file."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise RequestError(f"{folder}: holds no recorded rows; `xaipipe measure` makes them")
    return [read_row(file) for file in files]


def side_by_side(rows: Sequence[RecordedRow]) -> list[tuple[list[RecordedRow], MetricsTable]]:
    """The rows of each set of images and classifier, and their metrics on the images all have.

    A classifier that sees the images in another way, cropped say, is another one. Metrics that ask
    a judge, or a copy, are those of the one that most rows have asked.
    """
    groups: dict[tuple[str, ...], list[RecordedRow]] = defaultdict(list)
    for row in rows:
        asked = row.about["fingerprint"]
        seen = json.dumps(asked["preprocess"], sort_keys=True)
        groups[row.images, row.model, asked["weights"], seen].append(row)
    return [(group, _shared(group)) for _, group in sorted(groups.items())]


def count_images(table: pa.Table) -> int:
    """How many images (with their classes) a table of metrics is about."""
    return len(table.group_by(["id", "target"]).aggregate([]))


def read_row(file: Path) -> RecordedRow:
    """The row of a file; RequestError for another kind of Parquet file."""
    table = pq.read_table(file)
    data = (table.schema.metadata or {}).get(ABOUT)
    if data is None:
        raise RequestError(
            f"{file}: is no recorded row; expected files that `xaipipe measure` made"
        )
    about = json.loads(data)
    keys = {name: about.pop(name) for name in ("images", "model", "name")}
    return RecordedRow(**keys, about=about, table=table.cast(SCHEMA))


def _most_asked(group: Sequence[RecordedRow], key: str) -> str | None:
    """Digest of the judge, or copy, that most rows have asked."""
    asked = Counter(digest for row in group if (digest := row.about.get(key)))
    return max(asked, key=asked.__getitem__, default=None)


def _comparable(row: RecordedRow, most: Mapping[str, str | None]) -> pa.Table:
    """Its metrics without those that ask another judge, or copy."""
    table = row.table.replace_schema_metadata(None)
    for end, digest in most.items():
        if row.about.get(ASKED[end]) != digest:
            table = table.filter(pc.invert(pc.ends_with(table["metric"], end)))
    return table


def _shared(group: Sequence[RecordedRow]) -> MetricsTable:
    """Of equal (id, class) alone: one set of images for the whole table."""
    most = {end: _most_asked(group, key) for end, key in ASKED.items()}
    whole = pa.concat_tables([_comparable(row, most) for row in group])
    counts = whole.group_by(["id", "target"]).aggregate([("run", "count_distinct")])
    shared = counts.filter(pc.equal(counts["run_count_distinct"], len(group)))
    if not len(shared):
        names = ", ".join(row.name for row in group)
        raise RequestError(f"{group[0].images}, {group[0].model}: {names} have no image in common")
    found = whole.join(shared.select(["id", "target"]), ["id", "target"], join_type="inner")
    order = {row.name: n for n, row in enumerate(group)}
    place = pa.array([order[name] for name in found["run"].to_pylist()], pa.int64())
    keys = [(name, "ascending") for name in ("place", "id", "metric", "area")]
    found = found.append_column("place", place).sort_by(keys)
    return MetricsTable(found.select(SCHEMA.names))
