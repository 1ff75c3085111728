"""Errors of the pipeline.

ValueError
└── RequestError      the request is wrong; nothing was started (exit code 2)
Exception
├── ImageError        one image cannot be explained; becomes a failure row
├── RunError          the run cannot go on (exit code 1)
└── BrokenWorker      this worker cannot go on; another one can
"""

from __future__ import annotations


class RequestError(ValueError):
    """What the user asked for cannot be done: says where, what was found, what was expected."""


class ImageError(Exception):
    """One image cannot be explained.

    `stage` is where it failed (`read`, `decode`, `explain`, `worker`), `reason` one sentence.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(stage, reason)  # both in args, so that it pickles
        self.stage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class RunError(RuntimeError):
    """The run had to stop; what was committed stays and the same command resumes."""


class BrokenWorker(Exception):
    """The worker's device answers nothing any more, as after an illegal access on a GPU."""


def describe(error: BaseException) -> str:
    """Kind and first line."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
