"""Regions: what a classifier makes of every kept region, where it lies, and what takes its place.

An analysis (`pipeline.analysis`) with two tables: `regions` has a row for each round of the best
restart, `context` one for each image. `pipeline.patterns` finds in them which regions are alike.
"""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.regions.context import ClassContext, context_by_class
    from pipeline.regions.kind import CONTEXT, LAYOUT, REGIONS, regions_of
else:
    __getattr__, __dir__ = lazy(__name__)
