"""The job: what a person may ask of a run, where each value came from, and its JSON schema."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.job.job import EVERY_ROW, JOB_KEYS, Job, load_job, parse_assignment
    from pipeline.job.schema import job_schema
    from pipeline.job.settings import Setting, settings_of
else:
    __getattr__, __dir__ = lazy(__name__)
