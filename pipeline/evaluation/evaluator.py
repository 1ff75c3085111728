"""Metrics of a finished run, a batch of images at a time, from its stored tables.

One protocol for every run, whatever it was optimised for: hard masks are the top a of the pixels
with feathered edges, the baseline is the blurred image (sigma 9 % of the side), a second one the
mean colour; further ones in `baselines`. Definitions: `inr_core.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from pipeline.analysis import Given
from pipeline.evaluation.asking import Asked
from pipeline.evaluation.batch import Batch, Prepared, batches
from pipeline.evaluation.faithfulness import faithfulness
from pipeline.evaluation.masks import decode
from pipeline.evaluation.measures import (
    Values,
    agreement,
    behaviour,
    localisation,
    shape,
    stability,
)
from pipeline.evaluation.truth import truth_of
from pipeline.images import Preprocess
from pipeline.results import Model
from pipeline.tables import Row


class Evaluator:
    """Measures images of one run with its own classifier (`pipeline.analysis.Analyst`)."""

    def __init__(self, model: Model, device: str) -> None:
        self.asked = Asked(model, device)
        self.classifier = self.asked.classifier
        self.preprocess = self.classifier.preprocess

    def prepare(self, given: Given) -> Prepared:
        """Its masks and its ground truth."""
        return Prepared(decode(given.one), truth_of(given.one, self.preprocess))

    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """One row per metric, and per area where it has them; undefined values are left out."""
        return {"metrics": _rows(batch, self.classifier.device, self._values)}

    def _values(self, batch: Batch) -> Values:
        return {
            **faithfulness(batch, self.asked),
            **behaviour(batch),
            **shape(batch),
            **agreement(batch),
            **localisation(batch),
        }


class Scorer:
    """Scores the masks of a run in one more way: by another classifier, over other baselines.

    table       of its rows
    values      what is scored, of a batch
    preprocess  of the run's classifier: all see the same input
    """

    def __init__(
        self,
        table: str,
        values: Callable[[Batch, Asked], Values],
        model: Model,
        preprocess: Preprocess,
        device: str,
    ) -> None:
        self.table, self.values = table, values
        self.asked, self.preprocess = Asked(model, device), preprocess
        self.classifier = self.asked.classifier

    def prepare(self, given: Given) -> Prepared:
        """Its masks."""
        return Prepared(decode(given.one))

    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """Rows as those of the `Evaluator`."""
        return {self.table: _rows(batch, self.classifier.device, self._values)}

    def _values(self, batch: Batch) -> Values:
        return self.values(batch, self.asked)


class Stability:
    """Holds the masks of a run against those of runs with other seeds; asks no classifier."""

    classifier = preprocess = None

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def prepare(self, given: Given) -> Prepared:
        """Its masks here and there."""
        there = tuple(decode(other) for other in given.others if other is not None)
        return Prepared(decode(given.one), others=there)

    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """One row per area."""
        return {"metrics_repeats": _rows(batch, self.device, stability)}


def _rows(
    given: Sequence[Given], device: torch.device, values: Callable[[Batch], Values]
) -> list[Row]:
    return [row for batch in batches(given, device) for row in _rows_of(batch, values(batch))]


def _rows_of(batch: Batch, values: Values) -> Iterator[Row]:
    """Image by image."""
    of_metric = {name: value.tolist() for name, value in values.items()}
    for n, (one, _) in enumerate(batch):
        head = {"id": one.id, "target": one.row["target"]}
        for metric, of_images in of_metric.items():
            value = of_images[n]
            places = (
                zip(batch.areas, value, strict=False)
                if isinstance(value, list)
                else [(None, value)]
            )
            for area, number in places:
                if math.isfinite(number):
                    yield {**head, "metric": metric, "area": area, "value": number}
