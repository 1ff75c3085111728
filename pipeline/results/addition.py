"""Adding images to a recorded row: a long comparison is measured in parts, on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.differences import differing
from pipeline.errors import RequestError
from pipeline.results.recorded import RecordedRow, count_images

SAME = ("fingerprint", "preset", "select", "again", "baselines", "judge_weights", "copy_weights")


def check_addition(row: RecordedRow, about: Mapping[str, Any]) -> None:
    """RequestError unless images measured so (`about` their row) are the ones behind the row's."""
    where = f"--add: {row.file}"
    for name in SAME:
        for setting, was, now in differing({name: row.about.get(name)}, {name: about[name]}):
            raise RequestError(
                f"{where} was measured with {setting} {was}, now it is {now}; expected the same, "
                "or another --row"
            )
    if row.about["limit"] is None:
        raise RequestError(f"{where} has all images to the end; expected one made with --limit")
    end = row.about.get("skip", 0) + row.about["limit"]
    if about["skip"] != end:
        raise RequestError(f"{where} ends with image {end}; expected --skip {end}")


def added(row: RecordedRow, more: RecordedRow) -> RecordedRow:
    """The row with the images of another one, as if all had been measured at once."""
    old, new = row.about, more.about
    about = {
        "skip": old.get("skip", 0),
        "limit": None if new["limit"] is None else old["limit"] + new["limit"],
        "cpu_seconds": _cpu_seconds(row, more),
        "versions": {
            name: _both(old["versions"].get(name), v) for name, v in new["versions"].items()
        },
    }
    tables = [one.table.replace_schema_metadata(None) for one in (row, more)]
    return replace(more, about={**new, **about}, table=pa.concat_tables(tables))


def _cpu_seconds(*rows: RecordedRow) -> float | None:
    """Of an image, on the average; None where it is not known of all."""
    seconds = [row.about["cpu_seconds"] for row in rows]
    if None in seconds:
        return None
    return float(np.average(seconds, weights=[count_images(row.table) for row in rows]))


def _both(old: str | None, new: str | None) -> str | None:
    """All versions of a library, in the order in which they came."""
    known = (one for text in (old, new) if text for one in text.split(", "))
    return ", ".join(dict.fromkeys(known)) or None
