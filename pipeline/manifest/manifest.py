"""The manifest: which images to explain, for which class, with which columns carried along."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.errors import RequestError
from pipeline.images import bbox_problem
from pipeline.manifest.cells import ARROW, CONVERT, Cells, ColumnKinds
from pipeline.manifest.columns import (
    check_columns,
    check_selected,
    extra_columns,
    image_column,
    no_image,
)
from pipeline.manifest.files import folder_of, open_table
from pipeline.manifest.identity import default_id, standing
from pipeline.manifest.ids import Ids, pair
from pipeline.manifest.listing import Kept
from pipeline.manifest.problems import Problems
from pipeline.manifest.table import Report, Table
from pipeline.manifest.targets import Targets
from pipeline.members import Member, file_of
from pipeline.paths import namer, plain_path, redacted, resolver


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """One image to explain.

    `image` is an absolute local path or a full URL, `target` a class index or None for the
    classifier's top-1. `extra` holds every other column with the types of `ManifestSummary`;
    `mask` in it is resolved like `image`; an empty cell is None. `stands` is a digest of what the
    id stands for, the image and its target; 0 for a default id, which says it itself.
    """

    id: str
    image: str
    target: int | None
    extra: dict[str, Any]
    stands: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestSummary:
    """What one pass over a manifest found.

    `images` counts the rows after select, skip and limit, `ids` are theirs, `pairs` are these
    together with what they stand for (`pair`); `extra_types` are in file order.
    """

    images: int
    ids: Ids
    pairs: Ids
    extra_types: dict[str, pa.DataType]


class Manifest:
    """A list of images in CSV, TSV, JSONL or Parquet at any URL, images in tar or Parquet files,
    a folder or glob of images, or the images.

    Relative paths are relative to `root`, else to the manifest's folder. `select` keeps the rows
    whose column has exactly this text, `limit` the first of those after `skip`. A target is
    checked against `classes`: their names, their number, None to take any index, or what decides
    itself; `labelled`: every row has to have one. RequestError where something is wrong.
    `columns` are known once it has been checked.
    """

    def __init__(
        self,
        uri: str | Sequence[str],
        *,
        root: str | None = None,
        select: Mapping[str, str] | None = None,
        skip: int = 0,
        limit: int | None = None,
        classes: Sequence[str] | int | Targets | None = None,
        labelled: bool = False,
    ) -> None:
        if skip < 0:
            raise RequestError(f"skip is {skip}; expected 0 or more rows")
        if limit is not None and limit < 1:
            raise RequestError(f"limit is {limit}; expected at least 1 image")
        given = [plain_path(one) for one in ([uri] if isinstance(uri, str) else uri)]
        self.uri = given[0] + (f" and {len(given) - 1} more" if len(given) > 1 else "")
        self._source = given[0] if len(given) == 1 else tuple(given)
        self._root = None if root is None else plain_path(root)
        self._resolve = resolver(self._root or folder_of(given[0]))
        self._select = dict(select or {})
        self._span = skip, None if limit is None else skip + limit
        self._targets = classes if isinstance(classes, Targets) else Targets(classes)
        self._labelled = labelled
        self._summary: ManifestSummary | None = None
        self._kinds: dict[str, str] = {}
        self._kept = Kept()
        self.columns: tuple[str, ...] = ()

    def check(self) -> ManifestSummary:
        """Reads the manifest once; RequestError names up to 10 problems and where they are.

        Reads it a second time where ids seem to be repeated, to name them.
        """
        self._summary = self._survey(suspects=set())
        return self._summary

    def _survey(self, suspects: AbstractSet[int]) -> ManifestSummary:
        """suspects: hashes of ids that seem to be repeated; looked for where there are none."""
        problems = Problems(self.uri)
        hashes, pairs = array("q"), array("q")
        with open_table(self._source, problems.add, self._kept) as table:
            problems.unit = table.unit
            self._check_columns(table, problems)
            column = image_column(table.columns)
            text = (column, "id", "target", "mask", "bbox")
            kinds = ColumnKinds(table.kind_of, text) if table.kind_of else None
            first: dict[str, tuple[int, str]] = {}  # where the suspects are
            for line, ref_id, stands, path, _, cells in self._rows(table, problems):
                hashes.append(key := hash(ref_id))
                pairs.append(pair(ref_id, stands))
                if key in suspects:
                    seen, other = first.setdefault(ref_id, (line, path))
                    if seen != line:
                        where = f"{table.unit} {seen}"
                        problems.add(line, _repeated(ref_id, cells, path, where, other))
                _check_ground_truth(cells, line, problems.add)
                if kinds:
                    kinds.see(cells)
            ids = Ids(hashes)
            if not suspects and (repeated := ids.repeated()):
                return self._survey(repeated)
            problems.raise_any()
            self._check_columns(table, problems)  # again, for those that came up on the way
            self._check_any(table, len(hashes))
            if (other := image_column(table.columns)) != column:
                raise RequestError(
                    f"{self.uri}: some lines name their image in `{other}`, the first ones in"
                    f" `{column}`; use one name for all"
                )
            extras = extra_columns(table.columns)
            self.columns = tuple(table.columns)
        self._kinds = {name: kinds[name] for name in extras} if kinds else {}
        types = {n: ARROW[self._kinds[n]] if kinds else t for n, t in extras.items()}
        types |= {name: pa.string() for name in ("mask", "bbox") if name in types}
        return ManifestSummary(images=len(hashes), ids=ids, pairs=Ids(pairs), extra_types=types)

    def __iter__(self) -> Iterator[ImageRef]:
        """The images in file order; checks the manifest first where that was not done."""
        summary = self._summary or self.check()
        convert = {name: self._converter(name) for name in summary.extra_types}
        problems = Problems(self.uri)
        with open_table(self._source, problems.add, self._kept) as table:
            problems.unit = table.unit
            self._check_columns(table, problems)
            for line, ref_id, stands, path, target, cells in self._rows(table, problems):
                try:
                    extra = {
                        name: None if (cell := cells.get(name)) is None else to(cell)
                        for name, to in convert.items()
                    }
                except ValueError as error:
                    problems.add(line, f"{error}; the manifest changed since it was checked")
                problems.raise_any()
                yield ImageRef(
                    id=ref_id,
                    image=self._resolve(path),
                    target=target,
                    extra=extra,
                    stands=stands,
                )
        problems.raise_any()

    def _rows(
        self, table: Table, problems: Problems
    ) -> Iterator[tuple[int, str, int, str, int | None, Cells]]:
        """Line, id, what it stands for, path as it is written, target and cells of usable rows."""
        column = image_column(table.columns)
        targets = self._targets
        name = namer(self._root or table.folder or folder_of(self.uri))
        for line, cells in self._selected(table):
            path = cells.get(column)
            if path is None or not isinstance(path, str) or not path.strip():
                problems.add(line, no_image(column, path, cells))
                continue
            target = None
            if text := _text(cells.get("target")).strip():
                target = targets.index(text)
                if target is None:
                    problems.add(line, "" if problems.full else targets.problem(text))
            elif self._labelled:
                problems.add(line, "no target, which --targets label needs in every row")
            if "id" not in cells:
                ref_id, stands = default_id(name(path), text), 0
            elif not (ref_id := redacted(_text(cells["id"]))).strip():
                problems.add(line, "id is empty; fill it in, or drop the column for default ids")
                continue
            else:
                stands = standing(name(path), target)
            yield line, ref_id, stands, path, target, cells

    def _selected(self, table: Table) -> Iterator[tuple[int, Cells]]:
        rows = table.rows
        if self._select:
            wanted = self._select.items()
            rows = (
                row for row in rows if all(_is(row[1].get(name), text) for name, text in wanted)
            )
        return islice(rows, *self._span)

    def _check_columns(self, table: Table, problems: Problems) -> None:
        if not table.columns:
            problems.raise_any()
        check_columns(self.uri, table, self._select)

    def _check_any(self, table: Table, images: int) -> None:
        check_selected(self.uri, table.columns, self._select)
        if images == 0 and self._span[0]:
            raise RequestError(f"{self.uri}: no row is left after the first {self._span[0]} (skip)")
        if images == 0 and self._select:
            wanted = ", ".join(f"{name}={text}" for name, text in self._select.items())
            raise RequestError(f"{self.uri}: no row has {wanted}; expected at least one image")
        if images == 0:
            raise RequestError(f"{self.uri}: the manifest has no rows; expected at least one image")

    def _converter(self, name: str) -> Callable[[Any], Any]:
        if name == "mask":
            return self._resolve
        return CONVERT[self._kinds[name]] if name in self._kinds else lambda cell: cell


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else str(cell)


def _is(cell: Any, text: str) -> bool:
    """Whether a cell reads like this text; a JSON `true` reads both `true` and `True`."""
    return _text(cell) == text or (isinstance(cell, bool) and str(cell).lower() == text)


def _check_ground_truth(cells: Cells, line: int, report: Report) -> None:
    """A row's `mask` has to be a path, its `bbox` a list of boxes."""
    mask, bbox = cells.get("mask"), cells.get("bbox")
    if mask is not None and not isinstance(mask, str):
        report(line, f"mask is {mask!r}, expected a path or URL")
    if bbox is not None and (problem := bbox_problem(bbox)):
        report(line, problem)


def _repeated(ref_id: str, cells: Cells, path: str, first: str, other: str) -> str:
    """What is wrong with a row whose id is that of the `first` one, whose image is `other`."""
    if "id" not in cells:
        return f"image and target are those of {first}; drop the row or add a column `id`"
    if (here := Member.of(path)) is None or here.kind != "tar":
        return f"id {ref_id!r} is the id of {first} too; ids have to be unique"
    if file_of(other) == here.file:
        where = f"twice in {here.file}; members of one key have to follow each other"
    else:
        where = f"in {file_of(other)} and in {here.file}; keys have to be unique over all archives"
    return f"the key {ref_id!r} is {where}"
