"""What is evaluated of a run: three analyses, each with a table of its own.

A judge, or runs with other seeds, can so be added to what has been measured, or changed, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.analysis import Analyst, Kind
from pipeline.classifiers import Classifier
from pipeline.errors import RequestError
from pipeline.evaluation.evaluator import Evaluator, Judge, Stability
from pipeline.results import Model, model_of
from pipeline.tables import RunReader

METRICS = pa.schema(
    [
        ("id", pa.string()),
        ("target", pa.int64()),
        ("metric", pa.string()),
        ("area", pa.float64()),  # null where the metric has no area
        ("value", pa.float64()),
    ]
)


def evaluations(
    run: RunReader,
    *,
    weights: str | None = None,
    judge: Model | None = None,
    repeats: Sequence[RunReader] = (),
) -> list[Kind]:
    """The metrics of a run, one row for each image, metric and area.

    weights  state dict of the run's classifier, if it has moved
    judge    a second classifier, with the same classes, that the masks were not optimised for
    repeats  runs that differ from this one in their seed alone, on the same images
    RequestError if a classifier is not the right one.
    """
    model = model_of(run, weights)
    kinds = [_kind("metrics", {}, partial(Evaluator, model))]
    if judge is not None:
        second, classifier = judge.load(), model.load()
        _check_judge(second, classifier)
        settings = {"judge": judge.spec, "weights": second.digest}
        kinds.append(_kind("metrics_judge", settings, partial(Judge, judge, classifier.preprocess)))
    if repeats:
        others = tuple(sorted(again.store.uri for again in repeats))
        kinds.append(
            _kind("metrics_repeats", {"repeats": others}, Stability, others=others, pixels=False)
        )
    return kinds


def is_repeat(reader: RunReader, other: RunReader) -> bool:
    """Whether two runs differ in their seed alone."""
    one, two = reader.fingerprint, other.fingerprint
    return one["seed"] != two["seed"] and {**one, "seed": 0} == {**two, "seed": 0}


def _kind(
    table: str, settings: dict[str, Any], make: Callable[[str], Analyst], **more: Any
) -> Kind:
    return Kind(name="evaluate", tables={table: METRICS}, settings=settings, make=make, **more)


def _check_judge(judge: Classifier, classifier: Classifier) -> None:
    if len(judge.classes) != len(classifier.classes):
        raise RequestError(
            f"--judge {judge.spec}: has {len(judge.classes)} classes, the run's classifier "
            f"{len(classifier.classes)}"
        )
    theirs, ours = judge.preprocess, classifier.preprocess
    if theirs.channels != ours.channels:
        raise RequestError(
            f"--judge {judge.spec}: wants the channels {theirs.channels}, the run's classifier "
            f"{ours.channels}; both must see the same input"
        )
    if _scale(judge) != _scale(classifier):
        raise RequestError(
            f"--judge {judge.spec}: wants images of mean and std {_scale(judge)}, the run's "
            f"classifier of {_scale(classifier)}; both must see the same input"
        )


def _scale(classifier: Classifier) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return classifier.preprocess.scale
