"""Score kept minus score removed: one number for how much the scores tell for a run's masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean

from pipeline.results.intervals import Interval, mean_interval
from pipeline.results.metrics_table import MetricsTable, Values

GAP = "score kept - score removed, mean over areas: up is better"


def score_gaps(table: MetricsTable) -> dict[str, Interval]:
    """Of each run of the table: score kept minus removed, mean over areas, then over images."""
    kept, removed = table.values("kept"), table.values("removed")
    gaps = {
        area: {
            run: _apart(kept[area].get(run, {}), of_images) for run, of_images in of_runs.items()
        }
        for area, of_runs in removed.items()
        if area in kept
    }
    return means_over_areas(gaps)


def means_over_areas(values: Values) -> dict[str, Interval]:
    """Of each run: the mean over areas, then over images (each class of one for itself)."""
    of_runs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for of_area in values.values():
        for run, of_images in of_area.items():
            for image, value in of_images.items():
                of_runs[run][image].append(value)
    return {
        run: mean_interval([fmean(each) for each in images.values()])
        for run, images in of_runs.items()
    }


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {image: value - other[image] for image, value in one.items() if image in other}
