"""A run as a job of a Ray cluster: what is checked here, what is sent, and how it has ended."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.submission.checks import check_here
    from pipeline.submission.package import Package, packed
    from pipeline.submission.submission import Submission
else:
    __getattr__, __dir__ = lazy(__name__)
