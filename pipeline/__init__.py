"""The machinery: manifests, classifiers, tables, commits, the worker and the scheduler."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.driver import Progress, Summary, run
    from pipeline.errors import ImageError, RequestError, RunError
    from pipeline.job import Job, load_job
    from pipeline.plan import Plan, Request
    from pipeline.reader import RunReader, read

__all__ = [
    "ImageError",
    "Job",
    "Plan",
    "Progress",
    "Request",
    "RequestError",
    "RunError",
    "RunReader",
    "Summary",
    "load_job",
    "read",
    "run",
]

# Imported at first use: torch takes seconds, and most modules here do without it. No module here
# may bear a public name: importing it would hide what has that name.
_HOMES = {
    "ImageError": "errors",
    "Job": "job",
    "Plan": "plan",
    "Progress": "driver",
    "Request": "plan",
    "RequestError": "errors",
    "RunError": "errors",
    "RunReader": "reader",
    "Summary": "driver",
    "load_job": "job",
    "read": "reader",
    "run": "driver",
}

if not TYPE_CHECKING:  # else a misspelt name would pass for anything

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # the next use finds it without us
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
