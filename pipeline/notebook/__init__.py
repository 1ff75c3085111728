"""One image explained in a notebook, on the path of the batch."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.notebook.alone import explain
    from pipeline.notebook.shown import Explained
else:
    __getattr__, __dir__ = lazy(__name__)
