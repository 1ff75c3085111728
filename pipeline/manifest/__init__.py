"""The manifest: its formats, columns, ids and targets; streamed, and checked before a run."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.manifest.carried import coerce, reconcile
    from pipeline.manifest.manifest import ImageRef, Manifest
else:
    __getattr__, __dir__ = lazy(__name__)
