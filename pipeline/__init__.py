"""The machinery: manifests, classifiers, tables, commits, the worker and the scheduler."""

from pipeline.errors import ImageError, RequestError, RunError
from pipeline.job import Job, load_job
from pipeline.plan import Plan, Request
from pipeline.reader import RunReader, read
from pipeline.run import Progress, Summary, run

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
