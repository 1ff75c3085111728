"""Results of finished runs: metrics side by side, and pictures of masks."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.results.addition import added, check_addition
    from pipeline.results.alignment import same_class
    from pipeline.results.animation import animate
    from pipeline.results.anytime import anytime_plot
    from pipeline.results.drawing import LONGEST_SIDE, Drawing, Picture
    from pipeline.results.explained import Model, head_of, model_of
    from pipeline.results.findings import Finding, Truth, find, read_truths
    from pipeline.results.frontier import frontier_plot
    from pipeline.results.gallery import Gallery, comparison, contact_sheets
    from pipeline.results.intervals import Interval, difference, in_short, interval, mean_interval
    from pipeline.results.metrics_table import SCHEMA, MetricsTable, write_table
    from pipeline.results.originals import Originals
    from pipeline.results.plotting import Dot, Line, Plot, draw_plots
    from pipeline.results.query import Hit, select
    from pipeline.results.ranks import Ranks
    from pipeline.results.recorded import (
        RecordedRow,
        about_run,
        count_images,
        read_row,
        read_rows,
        side_by_side,
    )
    from pipeline.results.score_gap import score_gaps
else:
    __getattr__, __dir__ = lazy(__name__)
