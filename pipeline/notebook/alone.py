"""Explaining one image without a manifest, an output or Ray: the worker of a run, called once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from inr_core import METHODS
from pipeline.classifiers import (
    PRECISION,
    Classifier,
    load_classifier,
    one_thread,
    read_labels,
)
from pipeline.errors import RequestError
from pipeline.job import JOB_KEYS, Job, load_job
from pipeline.manifest import ImageRef, Targets
from pipeline.notebook.given import AnyImage, GivenImage
from pipeline.notebook.shown import Explained
from pipeline.run import ShardWorker, WorkerSpec, with_contrast
from pipeline.tables import ExplainedImage, RunSettings, Shard, ShardResult, decode

OF_ONE = {  # keys of the job file that one image has a use for, besides those of the method
    "weights",
    "preprocess",
    "head",
    "labels",
    "method",
    "preset",
    "steps",
    "baseline",
    "seed",
    "precision",
    "microbatch",
}
MICROBATCH = {"cpu": 1, "cuda": 32}


def explain(
    image: AnyImage,
    *,
    model: str | nn.Module,
    target: int | str | None = None,
    classes: Sequence[str] | None = None,
    device: str | None = None,
    id: str | None = None,
    **settings: Any,
) -> Explained:
    """Explain one image; in a notebook, the result shows itself.

    image     path or URL, PIL image, uint8 array (H, W, 3) or tensor (3, H, W); or what the
              classifier takes, normalised, as a tensor of floats (C, H, W) or (1, C, H, W)
    model     as for `xaipipe run --model`, or a module, of which a copy is frozen; where it has no
              attribute `preprocess`, ImageNet's is taken, changed by `preprocess="resize=224"`
    target    class index or name; None: what the classifier predicts
    classes   names of the classes, if the model does not bring them
    device    cpu or cuda; None: a GPU if there is one
    id        decides the seeds of all restarts but the first; by default the file's name. With the
              id of a run's image and the run's settings, the masks are those of the run
    settings  keys of the job file: areas=(.1, .3), preset="fast", method="ep", rounds=2,
              weights="w.pth", optimise={"steps": 20}
    Raises RequestError for what is wrong with any of these.
    """
    given = GivenImage.of(image)
    job = _job(model, settings)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with _undisturbed():
        classifier = _classifier(model, job, given, place, classes)
        config = with_contrast(job.config, classifier.classes)
        job = job.model_copy(update={"config": config})
        worker = ShardWorker(
            _spec(job, classifier),
            classifier=classifier,
            load=lambda ref: given.loaded(classifier.preprocess),
        )
        ref = ImageRef(
            id=given.name if id is None else id,
            image=str(image) if isinstance(image, str) else given.name,
            target=_target(target, classifier),
            extra={},
        )
        result = worker(Shard((ref,)))
    one = _explained(result, job, classifier)
    return Explained(one, given.picture(classifier.preprocess))


def _job(model: str | nn.Module, settings: dict[str, Any]) -> Job:
    """The settings, checked as a job file's are."""
    for name in settings:
        if name in JOB_KEYS and name not in OF_ONE:
            raise RequestError(f"explain: {name} is a setting of whole runs; leave it out")
    name = model if isinstance(model, str) else type(model).__name__
    return load_job(None, {**settings, "manifest": "", "model": name})


def _classifier(
    model: str | nn.Module,
    job: Job,
    given: GivenImage,
    device: str,
    classes: Sequence[str] | None,
) -> Classifier:
    fields = ",".join(part for part in (job.preprocess, given.changes()) if part)
    classifier = load_classifier(
        model,
        weights=job.weights,
        preprocess=fields or None,
        device=device,
        precision=job.precision,
        head=job.head,
        labels=None if job.labels is None else read_labels(job.labels),
    )
    if classes is not None:
        if len(classes) != len(classifier.classes):
            raise RequestError(
                f"classes: {len(classes)} names for the {len(classifier.classes)} classes of the "
                "model; expected one for each"
            )
        classifier = replace(classifier, classes=tuple(classes))
    image = torch.zeros(1, *classifier.preprocess.shape, device=device)
    try:
        METHODS[job.method].check(classifier.module, image)
    except ValueError as error:
        raise RequestError(f"method {job.method} with this model: {error}") from error
    return classifier


def _spec(job: Job, classifier: Classifier) -> WorkerSpec:
    kind = classifier.device.type
    return WorkerSpec(
        model=classifier.spec,
        weights=None,
        preprocess=None,
        device=kind,
        precision=job.precision or PRECISION[kind],
        method=job.method,
        config=job.config,
        seed=job.seed,
        extra_types={},
        batch=1,
        microbatch=job.microbatch or MICROBATCH[kind],
        baseline=job.baseline,
        head=job.head,
    )


def _target(target: int | str | None, classifier: Classifier) -> int | None:
    if target is None:
        return None
    targets = Targets(classifier.classes)
    index = targets.index(str(target))
    if index is None:
        raise RequestError(targets.problem(str(target)))
    return index


def _explained(result: ShardResult, job: Job, classifier: Classifier) -> ExplainedImage:
    rows = {table: decode(data) for table, data in result.tables.items()}
    if "images" not in rows:
        (failure,) = rows["failures"]
        raise RequestError(f"{failure['id']}: {failure['reason']}")
    settings = RunSettings(
        uri="this explanation",
        method=job.method,
        config=job.config,
        networks=METHODS[job.method].networks(job.config) > 0,
        size=classifier.preprocess.size,
    )
    return ExplainedImage(rows["images"][0], rows["explanations"], rows["masks"], settings)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What a worker sets for its process is as before afterwards: this one is the user's.

    One thread, as every worker has, so that masks are those of a run to the last bit.
    """
    cudnn = torch.backends.cudnn
    with (
        one_thread(),
        torch.compiler.set_stance("default"),
        cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            deterministic=cudnn.deterministic,
            allow_tf32=cudnn.allow_tf32,
        ),
    ):
        yield
