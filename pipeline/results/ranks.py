"""In which order metrics put the rows of a comparison, and how much these orders agree.

Metrics of explanations disagree, so that a winner by one of them says little (Tomsett et al. 2020,
1912.01451).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from pipeline.results.metrics_table import MetricsTable

LOWER_IS_BETTER = ("removed", "deletion", "perimeter", "context", "components", "area_error")


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rows by name and, of each metric, their means: over images, then over the areas all have."""

    rows: Sequence[str]
    means: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, table: MetricsTable, metrics: Sequence[str]) -> Ranks:
        """Of those metrics that any row has."""
        rows = table.runs()
        found = {metric: _means(table, metric) for metric in metrics}
        return cls(rows, {metric: means for metric, means in found.items() if means})

    def ranks(self, metric: str) -> dict[str, int]:
        """1 is the best; equals share the better rank. Only rows that have the metric."""
        worth = self._worth(metric)
        return {row: 1 + sum(w > worth[row] for w in worth.values()) for row in worth}

    def tau(self, first: str, second: str) -> float:
        """Kendall's tau-b of two metrics' orders of the rows that have both: 1 the same order, -1
        the reverse; NaN for fewer than two rows, and where all are equal.
        """
        one, two = self._worth(first), self._worth(second)
        shared = [row for row in self.rows if row in one and row in two]
        if len(shared) < 2:
            return math.nan
        from scipy.stats import kendalltau  # takes a second to import

        return float(kendalltau(*([of[row] for row in shared] for of in (one, two))).statistic)

    def taus(self) -> dict[tuple[str, str], float]:
        """Of each pair of metrics where it is defined."""
        pairs = {pair: self.tau(*pair) for pair in combinations(self.means, 2)}
        return {pair: tau for pair, tau in pairs.items() if not math.isnan(tau)}

    def _worth(self, metric: str) -> dict[str, float]:
        """The more, the better."""
        sign = -1 if metric.startswith(LOWER_IS_BETTER) else 1
        return {row: sign * mean for row, mean in self.means[metric].items()}


def _means(table: MetricsTable, metric: str) -> dict[str, float]:
    """Mean over the areas that all rows with this metric have; none where there is no such area."""
    of_areas = table.values(metric).values()
    rows = {row for runs in of_areas for row in runs}
    shared = [runs for runs in of_areas if runs.keys() == rows]
    if not shared:
        return {}
    return {row: fmean(fmean(runs[row].values()) for runs in shared) for row in rows}
