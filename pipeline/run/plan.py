"""Planning: a job becomes a validated request, and the request a list of pending shards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import torch

from inr_core import METHODS
from pipeline.classifiers import (
    FILE_KINDS,
    PRECISION,
    Classifier,
    Precision,
    TargetRule,
    load_classifier,
    one_thread,
    read_labels,
)
from pipeline.errors import ImageError, RequestError
from pipeline.images import MAX_IMAGE_BYTES, read_image
from pipeline.job import Job
from pipeline.manifest import ImageRef, Manifest, coerce, label_hint, reconcile
from pipeline.paths import all_redacted, redacted
from pipeline.run.batches import chunks
from pipeline.run.changes import changed_files, changed_rows, refuse_changes
from pipeline.run.device import grows, places
from pipeline.run.prediction import contrast_of, with_contrast
from pipeline.run.spec import WorkerSpec
from pipeline.run.work import Plan
from pipeline.run.worker import ShardWorker
from pipeline.starts import read_start, start_digest
from pipeline.store import Committed, RunFolder, Store
from pipeline.tables import (
    SCHEMA_VERSION,
    RunTables,
    Shard,
    check_version,
    first_files,
    labels_file,
)

LARGEST_SHARD = {"cpu": 16, "cuda": 256}  # images: minutes of work, lost when a worker dies
SHARDS_PER_WORKER = 4  # at least, while there are images enough: so that no worker idles at the end
# 0: the worker measures. 1: on a CPU, neither larger batches nor more networks at once are faster
BATCH = MICROBATCH = {"cpu": 1, "cuda": 0}
COMPILE = {"cpu": False, "cuda": True}  # on a CPU, compiled classifiers are not faster


class Request:
    """A job of which everything that can be wrong has been looked at.

    notes  what is right, but may not be meant
    Raises RequestError naming what is wrong; nothing has been written or started by then.
    """

    def __init__(self, job: Job) -> None:
        self.device, self.workers = where(job)
        self.store = None if job.out is None else Store(job.out)
        self.folder = None if self.store is None else RunFolder(self.store)
        self.precision = job.precision or PRECISION[self.device]
        self.rule = TargetRule.parse(job.targets)
        with one_thread():
            self.classifier = classifier_of(job)
            _check_method(job, self.classifier)
        self.labels = None if job.labels is None else self.classifier.classes
        self._check_targets()
        config = with_contrast(job.config, self.classifier.classes)
        self.job = job = job.model_copy(update={"config": config})
        self.manifest = manifest_of(job, self.classifier)
        found = self.manifest.check()
        self.found, self.images = found, found.images
        hint = label_hint(self.manifest.columns)
        self.notes = () if hint is None else (hint,)
        stored = None
        if self.folder is not None and not job.overwrite:
            stored = self.folder.fingerprint()
            if stored is not None:
                check_version(job.out or "", stored)
        self.columns = reconcile(found.extra_types, stored)
        self.fingerprint = fingerprint(job, self.classifier, self.columns, self.precision)
        if self.folder is not None and stored is not None:
            self.folder.check(self.fingerprint)

    @property
    def gpu(self) -> float:
        """See `Workers`."""
        return self.job.gpu_fraction or 1.0

    @property
    def grow(self) -> bool:
        """See `Workers`."""
        return grows(self.job.gpus, self.job.address)

    def _check_targets(self) -> None:
        classes = len(self.classifier.classes)
        if self.rule.kind == "top" and self.rule.count > classes:
            raise RequestError(f"--targets {self.rule}: the classifier has {classes} classes")

    def committed(self) -> Committed:
        """What the output holds already and is to stay.

        RequestError names rows that have changed since, if the job does not decide about them.
        """
        if self.folder is None:
            return Committed()
        if self.job.overwrite:
            return Committed(contents=self.folder.contents())
        committed = Committed.of(self.folder)
        if self.job.changed == "keep":
            return committed
        changed = changed_rows(self.found, committed, self.job.retry_failed)
        if self.job.changed == "explain":
            return committed.without(changed | self._changed_files(committed))
        if changed:
            refuse_changes(self.manifest.uri, str(self.job.out), self.manifest, changed)
        return committed

    def plan(self, committed: Committed) -> Plan:
        """Counts what is pending, without reading the manifest again."""
        ids = self.found.ids
        done, failed = ids.count(committed.explained), ids.count(committed.failed)
        pending = self.images - done - (0 if self.job.retry_failed else failed)
        size = self._shard_size(pending)
        return Plan(
            images=self.images,
            done=done,
            failed=failed,
            pending=pending,
            shards=math.ceil(pending / size),
            shard_size=size,
            workers=self.workers,
            device=self.device,
        )

    def shards(self, plan: Plan, committed: Committed, salt: str) -> Iterator[Shard]:
        """The pending images, streamed from the manifest."""

        def is_pending(ref: ImageRef) -> bool:
            if ref.id in committed.failed:
                return self.job.retry_failed
            return ref.id not in committed.explained

        for refs in chunks(filter(is_pending, self.manifest), plan.shard_size):
            coerced = [dataclasses.replace(r, extra=coerce(r.extra, self.columns)) for r in refs]
            yield Shard(tuple(coerced), salt)

    def worker_spec(self, shard: int = 0) -> WorkerSpec:
        """What the workers need to know; `shard` images come at once, at the most."""
        job = self.job
        return WorkerSpec(
            model=job.model,
            weights=job.weights,
            preprocess=job.preprocess,
            device=self.device,
            precision=self.precision,
            method=job.method,
            config=job.config,
            seed=job.seed,
            extra_types=self.columns,
            batch=job.batch or BATCH[self.device],
            microbatch=job.microbatch or MICROBATCH[self.device],
            compile=COMPILE[self.device] if job.compile is None else job.compile,
            max_memory=job.max_memory,
            gpu=self.gpu,
            baseline=job.baseline,
            start_file=job.start_file,
            shard=shard,
            workers=max(1, self.workers),
            max_image_bytes=job.max_image_bytes or MAX_IMAGE_BYTES,
            targets=self.rule,
            head=job.head,
            labels=self.labels,
        )

    def make(self, plan: Plan) -> Callable[..., ShardWorker]:
        """Makes a worker; travels to where it works."""
        return partial(ShardWorker, self.worker_spec(plan.shard_size))

    def files(self) -> tuple[str, ...]:
        """Of the classifier, the baseline and the start, where workers may be far from them."""
        kind, _, name = self.job.model.partition(":")
        model = name if kind in FILE_KINDS else None
        job = self.job
        named = (model, job.weights, job.baseline, job.start_file)
        found = [uri for uri in named if uri is not None]
        far = self.job.address is not None
        return tuple(uri for uri in found if far or "://" in uri)

    def first_files(self) -> dict[str, bytes]:
        """What lies beside the tables from the start, by name."""
        contrast = contrast_of(self.job.config) is not None
        files = first_files(self.columns, redacted(self.job.model), self.job.method, contrast)
        return files if self.labels is None else {**files, **labels_file(self.labels)}

    def about(self) -> dict[str, Any]:
        """What the stored plan says of it besides the counts."""
        return {"manifest": self.manifest.uri, "job": self.job.resolved()}

    def reasons(self) -> list[tuple[tuple[str, str], int]]:
        """((stage, reason), images) of what has failed, most first."""
        return RunTables(str(self.job.out)).failure_reasons()

    def _changed_files(self, committed: Committed) -> set[str]:
        """Explained images of the manifest whose files are others now."""
        if not committed.explained:
            return set()
        columns = ["id", "bytes", "digest"]
        table = RunTables(str(self.job.out)).images.to_table(columns=columns).to_pydict()
        known = dict(
            zip(table["id"], zip(table["bytes"], table["digest"], strict=True), strict=True)
        )
        return changed_files(self.manifest, known.get, committed.since)

    def _shard_size(self, pending: int) -> int:
        if self.job.shard_size is not None:
            return self.job.shard_size
        share = math.ceil(pending / (SHARDS_PER_WORKER * max(1, self.workers)))
        return min(LARGEST_SHARD[self.device], max(1, share))


def classifier_of(job: Job) -> Classifier:
    """The job's classifier, on the CPU; RequestError where it cannot be loaded."""
    return load_classifier(
        job.model,
        weights=job.weights,
        preprocess=job.preprocess,
        head=job.head,
        labels=None if job.labels is None else read_labels(job.labels),
    )


def manifest_of(job: Job, classifier: Classifier) -> Manifest:
    """The job's manifest, whose targets are classes of the classifier; it is not read yet."""
    return Manifest(
        job.manifest,
        root=job.root,
        select=job.select,
        skip=job.skip,
        limit=job.limit,
        classes=classifier.classes,
        labelled=TargetRule.parse(job.targets).kind == "label",
    )


def fingerprint(
    job: Job, classifier: Classifier, columns: dict[str, pa.DataType], precision: Precision
) -> dict[str, Any]:
    """What decides the tables: a run with another fingerprint needs another output.

    Null stands for what was so before there was a choice: runs of that time go on.
    Not in it: how many images at once, on how many workers, compiled or not. These change sums in
    their last bits, on GPUs only or when asked for, and a run may go on with others.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "method": job.method,
        "model": job.model,
        "weights": classifier.digest,
        "preprocess": classifier.preprocess.facts(),
        "precision": precision,
        "targets": job.targets,
        "head": None if job.head == "softmax" else job.head,
        "labels": None if job.labels is None else _digest(classifier.classes),
        "baseline": _image_digest(job.baseline),
        "start_file": job.start_file and start_digest(read_start(job.start_file)),
        "seed": job.seed,
        "columns": [[name, str(type_)] for name, type_ in columns.items()],
        **dataclasses.asdict(job.config),
    }
    redacted: dict[str, Any] = all_redacted(content)  # as it is stored
    return redacted


def _check_method(job: Job, classifier: Classifier) -> None:
    image = torch.zeros(1, *classifier.preprocess.shape)
    try:
        METHODS[job.method].check(classifier.module, image)
    except ValueError as error:
        raise RequestError(f"--method {job.method} with --model {job.model}: {error}") from error


def _digest(names: Sequence[str]) -> str:
    return hashlib.blake2b(json.dumps(names).encode(), digest_size=16).hexdigest()


def _image_digest(uri: str | None) -> str | None:
    if uri is None:
        return None
    try:
        image = read_image(uri)
    except ImageError as error:
        raise RequestError(f"--baseline {uri}: {error.reason}") from error
    return hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()


def where(job: Job) -> tuple[str, int]:
    """Device and number of actors: --gpus, else --workers, else whatever this machine has."""
    device, workers = places(job.gpus, job.workers, job.address, job.gpu_fraction or 1.0)
    if device == "cpu" and job.gpu_fraction is not None:
        raise RequestError(
            f"--gpu-fraction {job.gpu_fraction:g}: is of GPU workers, but this run has CPU "
            "workers; leave it out, or give --gpus N"
        )
    if device == "cpu" and job.max_memory is not None:
        raise RequestError(
            f"--max-memory {job.max_memory.human_readable(decimal=True)}: bounds what a GPU worker "
            "takes, but this run has CPU workers; leave it out, or give --gpus N"
        )
    return device, workers
