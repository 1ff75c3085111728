"""The manifest's further columns: their types stay what they were when the run was started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.errors import RequestError


def reconcile(
    found: Mapping[str, pa.DataType], stored: Mapping[str, Any] | None
) -> dict[str, pa.DataType]:
    """Types to write: those of the run if it exists, which a longer manifest must fit.

    stored  the run's fingerprint, with (name, type) pairs in order under `columns`
    Raises RequestError for a new column or for values that the stored type cannot hold.
    """
    if stored is None:
        return dict(found)
    names: dict[str, str] = dict(stored["columns"])
    for name, type_ in found.items():
        if name not in names:
            raise RequestError(
                f"column {name!r} of the manifest is not in the run's images table (it has "
                f"{', '.join(names) or 'no further columns'}); use another --out, or --overwrite"
            )
        fits = str(type_) == names[name] or names[name] == "string"
        if not fits and not (names[name] == "double" and str(type_) == "int64"):
            raise RequestError(
                f"column {name!r}: the run has {names[name]}, the manifest now has {type_}; "
                "use another --out, or --overwrite"
            )
    return {
        name: found[name] if str(found.get(name)) == t else _type(t) for name, t in names.items()
    }


def coerce(extra: Mapping[str, Any], columns: Mapping[str, pa.DataType]) -> dict[str, Any]:
    """Values as the columns' types hold them; a column that the manifest lacks is null."""
    values = {name: extra.get(name) for name in columns}
    return {
        name: str(value)
        if value is not None and pa.types.is_string(columns[name]) and not isinstance(value, str)
        else value
        for name, value in values.items()
    }


def _type(name: str) -> pa.DataType:
    try:
        return pa.type_for_alias(name)
    except ValueError:  # nested types have no alias; the column is gone, so nothing is converted
        return pa.string()
