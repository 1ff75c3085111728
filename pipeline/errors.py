"""Errors of the pipeline; their texts are without the secrets of URLs.

ValueError
└── RequestError      the request is wrong; nothing was started (exit code 2)
Exception
├── ImageError        one image cannot be explained; becomes a failure row
├── RunError          the run cannot go on (exit code 1)
└── BrokenWorker      this worker cannot go on; another one can
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.paths import redacted


class RequestError(ValueError):
    """What the user asked for cannot be done: says where, what was found, what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))


class ImageError(Exception):
    """One image cannot be explained.

    `stage` is where it failed (`read`, `decode`, `explain`, `worker`), `reason` one sentence.
    """

    def __init__(self, stage: str, reason: str) -> None:
        self.stage, self.reason = stage, clean(reason)
        super().__init__(stage, self.reason)  # both in args, so that it pickles

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class RunError(RuntimeError):
    """The run had to stop; what was committed stays and the same command resumes."""

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))


class BrokenWorker(Exception):
    """The worker's device answers nothing any more, as after an illegal access on a GPU.

    `change` is what its replacement should be made with, as keywords of `Workers.make`; with a
    change that is new, none of the worker's images is to blame.
    """

    def __init__(self, reason: str, change: Mapping[str, Any] | None = None) -> None:
        self.reason = clean(reason)
        super().__init__(self.reason, change)  # both in args, so that it pickles
        self.change = dict(change or {})

    def __str__(self) -> str:
        return self.reason


def describe(error: BaseException) -> str:
    """Kind and first line."""
    try:
        text = str(error)
    except Exception:  # of the user's own making
        text = ""
    return clean(f"{type(error).__name__}: {(text.splitlines() or [''])[0]}")


def clean(text: str) -> str:
    """A text without the secrets of URLs, and without halves of characters, which no file takes."""
    return redacted(text).encode("utf-8", "backslashreplace").decode()
