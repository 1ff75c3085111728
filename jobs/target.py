"""Files that a command writes at its end."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline import RequestError


def check_target(flag: str, file: Path | None) -> None:
    """Make the file's folder; RequestError if it cannot be written, before any work is lost."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(flag, file, error.strerror or str(error)) from error
    if file.is_dir():
        raise _refusal(flag, file, "it is a folder")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise _refusal(flag, file, "no permission")


def _refusal(flag: str, file: Path, found: str) -> RequestError:
    return RequestError(f"{flag} {file}: cannot be written: {found}; name a file that can")
