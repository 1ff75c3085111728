"""The report of a run: one self-contained HTML page."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.report.document import report_html
    from pipeline.report.target import Target
    from pipeline.report.verdicts import read_verdicts
else:
    __getattr__, __dir__ = lazy(__name__)
