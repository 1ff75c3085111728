"""The last resort: errors that nobody expected."""

from __future__ import annotations

import os
import tempfile
import traceback

from pipeline.paths import redacted


def write_traceback(error: Exception) -> str:
    """Writes it to a file; returns where it is, in words."""
    text = redacted("".join(traceback.format_exception(error)))
    try:
        handle, path = tempfile.mkstemp(".txt", "xaipipe-error-")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as reason:
        return f"its traceback could not be written ({reason.strerror})"
    return f"please report it with its traceback, {path}"
