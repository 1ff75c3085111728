"""The columns of a manifest: which there have to be, and which there may not be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from pipeline.errors import RequestError
from pipeline.manifest.table import Table

IMAGE_COLUMNS = ("image", "file_name", "path", "uri", "url")  # the first one present counts
LABELS = ("label", "class", "labels", "class_name", "label_name", "category")
SEPARATORS = {";": "semicolons (;)", "\t": "tabs", "|": "bars (|)", ",": "commas"}
OUTPUT_COLUMNS = (
    "score",
    "target_name",
    "contrast",
    "contrast_name",
    "contrast_score",
    "predicted",
    "predicted_name",
    "predicted_score",
    "width",
    "height",
    "crop",
    "bytes",
    "digest",
)


def check_columns(uri: str, table: Table, select: Iterable[str]) -> None:
    """RequestError if an image column is missing or a column cannot be taken.

    select  columns to select by; they may still come up where a table grows
    """
    columns = table.columns
    if not columns:
        raise RequestError(f"{uri}: the manifest is empty; expected a column `image`")
    image = image_column(columns)
    if image not in columns:
        raise RequestError(f"{uri}: {_no_image_column(columns)}")
    for name in (image, "mask", "bbox"):
        kind = columns.get(name)
        if kind is not None and not _is_text(kind):
            raise RequestError(f"{uri}: column `{name}` is {kind}, expected strings")
    if not table.grows:
        check_selected(uri, columns, select)
    if clash := [name for name in columns if name in OUTPUT_COLUMNS]:
        names = ", ".join(f"`{name}`" for name in clash)
        raise RequestError(
            f"{uri}: {names} would collide with the output's own column of that name;"
            f" rename it in the manifest, for example to `{free_name(clash[0])}`"
        )


def free_name(name: str, taken: bool = False) -> str:
    """A name that no column of the output has: of data sets, which nobody can rename."""
    return f"manifest_{name}" if taken or name in OUTPUT_COLUMNS else name


def check_selected(uri: str, columns: Mapping[str, Any], select: Iterable[str]) -> None:
    """RequestError if a column to select by is missing."""
    for name in select:
        if name not in columns:
            raise RequestError(
                f"{uri}: there is no column `{name}` to select by; found: {', '.join(columns)}"
            )


def image_column(columns: Mapping[str, Any]) -> str:
    """The column that names the images; `image` if there is none."""
    return next((name for name in IMAGE_COLUMNS if name in columns), "image")


def extra_columns(columns: Mapping[str, pa.DataType | None]) -> dict[str, pa.DataType | None]:
    """The columns that are carried into the output."""
    own = (image_column(columns), "id", "target")
    return {name: kind for name, kind in columns.items() if name not in own}


def uses(columns: Iterable[str]) -> dict[str, str]:
    """Which column each thing is taken from, in words."""
    names = dict.fromkeys(columns)
    truth = [name for name in ("mask", "bbox") if name in names]
    carried = [name for name in extra_columns(names) if name not in ("mask", "bbox")]
    return {
        "image from": image_column(names),
        "id from": "id" if "id" in names else "the image's path",
        "class from": "target" if "target" in names else "the prediction",
        "ground truth from": ", ".join(truth) or "nowhere",
        "carried along": ", ".join(carried) or "nothing",
    }


def label_hint(columns: Iterable[str]) -> str | None:
    """Where a column looks like the class to explain, what to do for it to be one."""
    names = list(columns)
    found = next((name for name in names if name.casefold() in LABELS), None)
    if found is None or "target" in names:
        return None
    return (
        f"column `{found}` is only carried along, and the predicted class explained; rename it to "
        "`target` to have that class explained"
    )


def no_image(column: str, path: Any, cells: Mapping[str, Any]) -> str:
    """What is wrong with a row whose cell in the image column is `path`."""
    if path is not None and not isinstance(path, str):
        return f"`{column}` is {path!r}, expected a path or URL"
    other = [name for name in IMAGE_COLUMNS if name != column and cells.get(name)]
    if path is None and column not in cells and other:
        return f"the image is in `{other[0]}`, in the lines before in `{column}`; use one name"
    return f"`{column}` is empty; expected a path or URL"


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _separators(columns: Iterable[str]) -> str | None:
    """What separates columns that were read as one, in words."""
    names = list(columns)
    for mark, word in SEPARATORS.items():
        parts = {part.strip(' "') for name in names for part in name.split(mark) if mark in name}
        if parts and (len(names) == 1 or parts & set(IMAGE_COLUMNS)):
            return word
    return None


def _no_image_column(columns: Mapping[str, Any]) -> str:
    if separators := _separators(columns):
        first = next(iter(columns))
        return (
            f"columns are separated by {separators} (the first line begins with {first!r}); "
            "expected tabs in a .tsv file, commas in a .csv file"
        )
    folded = {name.casefold(): name for name in columns}
    close = [m for name in IMAGE_COLUMNS for m in get_close_matches(name, folded, n=1)]
    hint = f"; rename `{folded[close[0]]}` to `image`" if close else ""
    return (
        f"there is no column `image` (or {', '.join(IMAGE_COLUMNS[1:])});"
        f" found: {', '.join(columns)}{hint}"
    )
