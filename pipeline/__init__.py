"""The machinery: manifests, classifiers, tables, commits, the worker and the scheduler."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.errors import ImageError, RequestError, RunError
    from pipeline.job import Job, job_schema, load_job, parse_assignment, settings_of
    from pipeline.notebook import Explained, explain
    from pipeline.run import Plan, Progress, Request, Summary
    from pipeline.tables import RunReader, read
else:
    __getattr__, __dir__ = lazy(__name__)
