"""What a file's store says of it, without reading it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import fsspec

MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "created")  # as stores name it


def file_state(uri: str) -> tuple[int | None, float | None]:
    """Size in bytes and time of the last change in epoch seconds, None where nobody tells."""
    try:
        if "://" not in uri:
            found = os.stat(uri)
            return found.st_size, found.st_mtime
        fs, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        info = fs.info(path)
    except Exception:  # every store raises its own; the image itself will say what is wrong
        return None, None
    return info.get("size"), next((_epoch(info[k]) for k in MODIFIED if info.get(k)), None)


def _epoch(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.timestamp() if isinstance(value, datetime) else float(value)
