"""Results of finished runs: metrics side by side, and pictures of masks."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.results.evaluation import Evaluation
    from pipeline.results.explained import classifier_of
    from pipeline.results.figures import difference, interval
    from pipeline.results.findings import Finding, Truth, find, read_truths
    from pipeline.results.frontier import draw_frontier, points_of
    from pipeline.results.gallery import Gallery, Picture, comparison
    from pipeline.results.metrics_table import SCHEMA, write_metrics
else:
    __getattr__, __dir__ = lazy(__name__)
