"""The manifest: which images to explain, for which class, with which columns carried along."""

from __future__ import annotations

import math
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.errors import RequestError
from pipeline.manifest_files import (
    ARROW,
    CONVERT,
    Cells,
    ColumnKinds,
    Report,
    Table,
    folder_of,
    open_table,
)

IMAGE_COLUMNS = ("image", "file_name", "path", "uri", "url")  # the first one present counts
OUTPUT_COLUMNS = (
    "score",
    "target_name",
    "predicted",
    "predicted_name",
    "predicted_score",
    "width",
    "height",
    "crop",
)
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """One image to explain.

    `image` is an absolute local path or a full URL, `target` a class index or None for the
    classifier's top-1. `extra` holds every other column with the types of `ManifestSummary`;
    `mask` in it is resolved like `image`; an empty cell is None.
    """

    id: str
    image: str
    target: int | None
    extra: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestSummary:
    """What one pass over a manifest found.

    `images` counts the rows after select and limit; `extra_types` are in file order.
    """

    images: int
    extra_types: dict[str, pa.DataType]


class Manifest:
    """A list of images in CSV, TSV, JSONL or Parquet at any URL, or a folder or glob of images.

    Relative paths are relative to `root`, else to the manifest's folder. `select` keeps the rows
    whose column has exactly this text, `limit` the first of those. A target is checked against
    `classes`: their names, their number, or None to take any index. RequestError where something
    is wrong.
    """

    def __init__(
        self,
        uri: str,
        *,
        root: str | None = None,
        select: Mapping[str, str] | None = None,
        limit: int | None = None,
        classes: Sequence[str] | int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise RequestError(f"limit is {limit}; expected at least 1 image")
        self.uri = _local(uri)
        self._resolve = _resolver(folder_of(self.uri) if root is None else _local(root))
        self._select = dict(select or {})
        self._limit = limit
        self._targets = _Targets(classes)
        self._summary: ManifestSummary | None = None
        self._kinds: dict[str, str] = {}

    def check(self) -> ManifestSummary:
        """Reads the manifest once; RequestError names up to 10 problems and where they are."""
        problems = _Problems(self.uri)
        lines: dict[bytes, int] = {}  # digest of an id -> where it is; the only thing that grows
        images = 0
        with open_table(self.uri, problems.add) as table:
            problems.unit = table.unit
            self._check_columns(table, problems)
            column = _image_column(table.columns)
            text = (column, "id", "target", "mask", "bbox")
            kinds = ColumnKinds(table.kind_of, text) if table.kind_of else None
            for line, ref_id, _, _, cells in self._rows(table, problems):
                images += 1
                digest = blake2b(ref_id.encode(), digest_size=16).digest()
                if (first := lines.setdefault(digest, line)) != line:
                    problems.add(line, _repeated(ref_id, cells, f"{table.unit} {first}"))
                _check_ground_truth(cells, line, problems.add)
                if kinds:
                    kinds.see(cells)
            problems.raise_any()
            self._check_columns(table, problems)  # again, for those that came up on the way
            self._check_any(table, images)
            if (other := _image_column(table.columns)) != column:
                raise RequestError(
                    f"{self.uri}: some lines name their image in `{other}`, the first ones in"
                    f" `{column}`; use one name for all"
                )
            extras = _extras(table)
        self._kinds = {name: kinds[name] for name in extras} if kinds else {}
        types = {n: ARROW[self._kinds[n]] if kinds else t for n, t in extras.items()}
        types |= {name: pa.string() for name in ("mask", "bbox") if name in types}
        self._summary = ManifestSummary(images=images, extra_types=types)
        return self._summary

    def __iter__(self) -> Iterator[ImageRef]:
        """The images in file order; checks the manifest first where that was not done."""
        summary = self._summary or self.check()
        convert = {name: self._converter(name) for name in summary.extra_types}
        problems = _Problems(self.uri)
        with open_table(self.uri, problems.add) as table:
            problems.unit = table.unit
            self._check_columns(table, problems)
            for line, ref_id, image, target, cells in self._rows(table, problems):
                try:
                    extra = {
                        name: None if (cell := cells.get(name)) is None else to(cell)
                        for name, to in convert.items()
                    }
                except ValueError as error:
                    problems.add(line, f"{error}; the manifest changed since it was checked")
                problems.raise_any()
                yield ImageRef(id=ref_id, image=image, target=target, extra=extra)
        problems.raise_any()

    def _rows(
        self, table: Table, problems: _Problems
    ) -> Iterator[tuple[int, str, str, int | None, Cells]]:
        """Line, id, image, target and cells of every row that can be identified."""
        column = _image_column(table.columns)
        resolve, targets = self._resolve, self._targets
        for line, cells in self._selected(table):
            path = cells.get(column)
            if path is None or not isinstance(path, str) or not path.strip():
                problems.add(line, _no_image(column, path, cells))
                continue
            image = resolve(path)
            target = None
            if text := _text(cells.get("target")).strip():
                target = targets.index(text)
                if target is None:
                    problems.add(line, "" if problems.full else targets.problem(text))
            if "id" not in cells:
                ref_id = blake2b(f"{image}|{text}".encode()).hexdigest()[:16]
            elif not (ref_id := _text(cells["id"])).strip():
                problems.add(line, "id is empty; fill it in, or drop the column for default ids")
                continue
            yield line, ref_id, image, target, cells

    def _selected(self, table: Table) -> Iterator[tuple[int, Cells]]:
        rows = table.rows
        if self._select:
            wanted = self._select.items()
            rows = (
                row for row in rows if all(_is(row[1].get(name), text) for name, text in wanted)
            )
        return islice(rows, self._limit)

    def _check_columns(self, table: Table, problems: _Problems) -> None:
        columns = table.columns
        if not columns:
            problems.raise_any()
            raise RequestError(f"{self.uri}: the manifest is empty; expected a column `image`")
        image = _image_column(columns)
        if image not in columns:
            raise RequestError(f"{self.uri}: {_no_image_column(columns)}")
        for name in (image, "mask", "bbox"):
            kind = columns.get(name)
            if kind is not None and not _is_text(kind):
                raise RequestError(f"{self.uri}: column `{name}` is {kind}, expected strings")
        for name in self._select:
            if name not in columns and not table.grows:
                raise RequestError(f"{self.uri}: {_no_column(name, columns)}")
        if clash := [name for name in columns if name in OUTPUT_COLUMNS]:
            names = ", ".join(f"`{name}`" for name in clash)
            raise RequestError(
                f"{self.uri}: {names} would collide with the output's own column of that name;"
                f" rename it in the manifest, for example to `manifest_{clash[0]}`"
            )

    def _check_any(self, table: Table, images: int) -> None:
        for name in self._select:
            if name not in table.columns:
                raise RequestError(f"{self.uri}: {_no_column(name, table.columns)}")
        if images == 0 and self._select:
            wanted = ", ".join(f"{name}={text}" for name, text in self._select.items())
            raise RequestError(f"{self.uri}: no row has {wanted}; expected at least one image")
        if images == 0:
            raise RequestError(f"{self.uri}: the manifest has no rows; expected at least one image")

    def _converter(self, name: str) -> Callable[[Any], Any]:
        if name == "mask":
            return self._resolve
        return CONVERT[self._kinds[name]] if name in self._kinds else lambda cell: cell


def parse_boxes(text: str) -> list[Box]:
    """Boxes `x0,y0,x1,y1` in original pixels, separated by `;`; ValueError says what is wrong."""
    boxes = []
    for part in text.split(";") if text.strip() else ():
        try:
            x0, y0, x1, y1 = map(float, part.split(","))
        except ValueError:
            raise ValueError(f"{part!r} is not x0,y0,x1,y1") from None
        if not (all(map(math.isfinite, (x0, y0, x1, y1))) and x1 > x0 and y1 > y0):
            raise ValueError(f"{part!r} needs finite numbers with x1 > x0 and y1 > y0")
        boxes.append((x0, y0, x1, y1))
    return boxes


class _Problems:
    """Collects what is wrong with a manifest; keeps the first `MOST` to be shown."""

    MOST = 10

    def __init__(self, uri: str) -> None:
        self.unit = "line"
        self._uri = uri
        self._shown: list[tuple[int, str]] = []
        self._count = 0

    @property
    def full(self) -> bool:
        return self._count >= self.MOST

    def add(self, number: int, text: str) -> None:
        if not self.full:
            self._shown.append((number, text))
        self._count += 1

    def raise_any(self) -> None:
        if not self._count:
            return
        lines = [f"{self.unit} {number}: {text}" for number, text in self._shown]
        if self._count > len(lines):
            lines.append(f"and {self._count - len(lines)} more")
        text = f" {lines[0]}" if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
        raise RequestError(f"{self._uri}:{text}")


class _Targets:
    """Turns what stands in the column `target` into a class index."""

    _INTEGER = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?")  # 3.0 is what a column with gaps makes of 3

    def __init__(self, classes: Sequence[str] | int | None) -> None:
        self._names = [] if classes is None or isinstance(classes, int) else list(classes)
        self._count = classes if isinstance(classes, int) else len(self._names) or None
        self._by_name: dict[str, list[int]] = {}
        self._by_folded: dict[str, list[int]] = {}
        for index, name in enumerate(self._names):
            self._by_name.setdefault(name, []).append(index)
            self._by_folded.setdefault(name.casefold(), []).append(index)
        self.index = lru_cache(maxsize=1 << 16)(self._index)

    def _index(self, text: str) -> int | None:
        """Class index, or None where the text is none; digits are an index, never a name."""
        if number := self._INTEGER.fullmatch(text):
            index = int(number[1])
            inside = index >= 0 and (self._count is None or index < self._count)
            return index if inside else None
        found = self._named(text)
        return found[0] if len(found) == 1 else None

    def _named(self, text: str) -> list[int]:
        return self._by_name.get(text) or self._by_folded.get(text.casefold()) or []

    def problem(self, text: str) -> str:
        if number := self._INTEGER.fullmatch(text):
            last = "upwards" if self._count is None else f"to {self._count - 1}"
            return f"target {number[1]} is no class index; expected 0 {last}"
        if not self._names:
            return f"target {text!r} is no class index; names need a classifier with class names"
        if found := self._named(text):
            indices = ", ".join(map(str, found))
            return f"target {text!r} names the classes {indices} alike; give the index"
        return f"target {text!r} is no class of the classifier{_nearest(text, self._names)}"


def _local(uri: str) -> str:
    return uri.removeprefix("file://") if "://" in uri else os.path.expanduser(uri)


def _resolver(base: str) -> Callable[[str], str]:
    """Function that makes an image's path absolute; a URL stays as it is."""
    scheme, remote, folder = base.rpartition("://")
    if not remote:
        base = os.path.abspath(base)

    def resolve(path: str) -> str:
        if "://" in path:
            return path.removeprefix("file://")
        if not remote or path.startswith("/"):
            return os.path.normpath(os.path.join(base, path))
        joined = posixpath.join(folder, path)
        # an object's key may well hold `//`, which normalising would lose
        return f"{scheme}://{posixpath.normpath(joined) if './' in path else joined}"

    return resolve


def _image_column(columns: Mapping[str, Any]) -> str:
    return next((name for name in IMAGE_COLUMNS if name in columns), "image")


def _extras(table: Table) -> dict[str, pa.DataType | None]:
    own = (_image_column(table.columns), "id", "target")
    return {name: kind for name, kind in table.columns.items() if name not in own}


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


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
    if bbox is None:
        return
    try:
        if not isinstance(bbox, str):
            raise ValueError(f"{bbox!r} is not text")
        parse_boxes(bbox)
    except ValueError as error:
        report(line, f"bbox {error}; expected x0,y0,x1,y1, several boxes separated by `;`")


def _repeated(ref_id: str, cells: Cells, first: str) -> str:
    if "id" in cells:
        return f"id {ref_id!r} is the id of {first} too; ids have to be unique"
    return f"image and target are those of {first}; drop the row or add a column `id`"


def _no_image(column: str, path: Any, cells: Cells) -> str:
    if path is not None and not isinstance(path, str):
        return f"`{column}` is {path!r}, expected a path or URL"
    other = [name for name in IMAGE_COLUMNS if name != column and cells.get(name)]
    if path is None and column not in cells and other:
        return f"the image is in `{other[0]}`, in the lines before in `{column}`; use one name"
    return f"`{column}` is empty; expected a path or URL"


def _no_image_column(columns: Mapping[str, Any]) -> str:
    folded = {name.casefold(): name for name in columns}
    close = [m for name in IMAGE_COLUMNS for m in get_close_matches(name, folded, n=1)]
    hint = f"; rename `{folded[close[0]]}` to `image`" if close else ""
    return (
        f"there is no column `image` (or {', '.join(IMAGE_COLUMNS[1:])});"
        f" found: {', '.join(columns)}{hint}"
    )


def _no_column(name: str, columns: Mapping[str, Any]) -> str:
    return f"there is no column `{name}` to select by; found: {', '.join(columns)}"


def _nearest(name: str, known: Sequence[str]) -> str:
    folded = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    return f"; the nearest is {folded[close[0]]!r}" if close else ""
