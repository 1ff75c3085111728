"""What is evaluated of a run: several analyses, each with a table of its own.

A judge, a copy, baselines, or runs with other seeds can so be added to what has been measured, or
changed, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.analysis import Analyst, Kind
from pipeline.classifiers import Classifier
from pipeline.errors import RequestError
from pipeline.evaluation.asking import Asked
from pipeline.evaluation.baselines import unseen
from pipeline.evaluation.batch import Batch
from pipeline.evaluation.evaluator import Evaluator, Scorer, Stability
from pipeline.evaluation.faithfulness import copied, judged
from pipeline.evaluation.measures import Values
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
    baselines: Sequence[str] = (),
    judge: Model | None = None,
    copy: str | None = None,
    repeats: Sequence[RunReader] = (),
) -> list[Kind]:
    """The metrics of a run, one row for each image, metric and area.

    weights    state dict of the run's classifier, if it has moved
    baselines  names of `BASELINES`, over which hard masks are scored, too
    judge      a second classifier, with the same classes, that the masks were not optimised for
    copy       state dict of a copy of the run's classifier that was fine-tuned with masked images
    repeats    runs that differ from this one in their seed alone, on the same images
    RequestError if a classifier is not the right one.
    """
    model = model_of(run, weights)
    kinds = [_kind("metrics", {}, partial(Evaluator, model))]
    if baselines:
        values = partial(unseen, names=tuple(baselines))
        kinds.append(
            _scored("metrics_baselines", {"baselines": list(baselines)}, values, model, model)
        )
    if judge is not None:
        check_judge(judge, model)
        settings = {"judge": judge.spec, "weights": judge.load().digest}
        kinds.append(_scored("metrics_judge", settings, judged, judge, model))
    if copy is not None:
        tuned = copy_of(model, copy)
        kinds.append(
            _scored("metrics_copy", {"weights": tuned.load().digest}, copied, tuned, model)
        )
    if repeats:
        others = tuple(sorted(again.store.uri for again in repeats))
        kinds.append(
            _kind("metrics_repeats", {"repeats": others}, Stability, others=others, pixels=False)
        )
    return kinds


def check_judge(second: Model, model: Model) -> None:
    """RequestError unless both classifiers have as many classes and see the same input."""
    judge, classifier = second.load(), model.load()
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


def copy_of(model: Model, weights: str) -> Model:
    """The classifier with other weights; RequestError if they are its own."""
    copy = replace(model, weights=weights, digest=None)
    try:
        digest = copy.load().digest
    except RequestError as error:
        raise RequestError(f"--copy-weights: {error}") from None
    if digest == model.load().digest:
        raise RequestError(
            f"--copy-weights {weights}: are the weights that the run explained; expected those of "
            "a copy that was fine-tuned with masked images"
        )
    return copy


def is_repeat(reader: RunReader, other: RunReader) -> bool:
    """Whether two runs differ in their seed alone."""
    one, two = reader.fingerprint, other.fingerprint
    return one["seed"] != two["seed"] and {**one, "seed": 0} == {**two, "seed": 0}


def _kind(
    table: str, settings: dict[str, Any], make: Callable[[str], Analyst], **more: Any
) -> Kind:
    return Kind(name="evaluate", tables={table: METRICS}, settings=settings, make=make, **more)


def _scored(
    table: str,
    settings: dict[str, Any],
    values: Callable[[Batch, Asked], Values],
    asked: Model,
    own: Model,
) -> Kind:
    make = partial(Scorer, table, values, asked, own.load().preprocess)
    return _kind(table, settings, make)


def _scale(classifier: Classifier) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return classifier.preprocess.scale
