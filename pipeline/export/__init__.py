"""Exports: the masks of a run in the formats of other tools."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.export.formats import FORMATS, write_export
    from pipeline.export.selection import Selection
else:
    __getattr__, __dir__ = lazy(__name__)
