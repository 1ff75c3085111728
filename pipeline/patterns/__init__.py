"""Patterns: regions of a class that are alike to the classifier, and the cue list.

Clusters of the features that `pipeline.regions` has stored; with ground truth, of those on the
object and of those beside it. `OUT/patterns` has a row for each,
those first on which their class relies most without their being its object; the rows of
`OUT/regions` say which pattern they are of.
"""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.patterns.clusters import clustered, divided
    from pipeline.patterns.cues import PATTERNS, SUSPECT
    from pipeline.patterns.finding import Patterns, PatternsConfig, find_patterns
else:
    __getattr__, __dir__ = lazy(__name__)
