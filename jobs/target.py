"""Files that a command writes at its end."""

from __future__ import annotations

from pathlib import Path

import pipeline.paths
from pipeline import RequestError


def check_target(flag: str, file: Path | None) -> None:
    """Make the file's folder; RequestError if it cannot be written, before any work is lost."""
    if file is not None and (found := pipeline.paths.unwritable(str(file))):
        raise RequestError(f"{flag} {file}: cannot be written: {found}; name a file that can")
