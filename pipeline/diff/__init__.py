"""Two runs over the same images, of two models: what has changed, by image and by class."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.diff.kind import DIFF, difference, shared_area, table_of
    from pipeline.diff.ranking import Changed, ClassChange, changed
else:
    __getattr__, __dir__ = lazy(__name__)
