"""The manifest: its formats, columns, ids and targets; streamed, and checked before a run."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.manifest.carried import coerce, reconcile
    from pipeline.manifest.columns import label_hint, uses
    from pipeline.manifest.ids import pair
    from pipeline.manifest.manifest import ImageRef, Manifest, ManifestSummary
    from pipeline.manifest.targets import AnyTargets, Targets
else:
    __getattr__, __dir__ = lazy(__name__)
