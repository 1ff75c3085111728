"""Planning: a job becomes a validated request, and the request a list of pending shards."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import torch

from inr_core import METHODS
from pipeline.classifiers import PRECISION, Classifier, Precision, load_classifier, one_thread
from pipeline.errors import ImageError, RequestError
from pipeline.images import MAX_IMAGE_BYTES, read_image
from pipeline.job import Job
from pipeline.manifest import ImageRef, Manifest, coerce, reconcile
from pipeline.paths import all_redacted, redacted
from pipeline.run.batches import chunks
from pipeline.run.changes import changed_files, changed_rows, refuse_changes
from pipeline.run.device import places
from pipeline.run.spec import WorkerSpec
from pipeline.run.work import Plan
from pipeline.run.worker import ShardWorker
from pipeline.store import Committed, RunFolder, Store
from pipeline.tables import SCHEMA_VERSION, RunTables, Shard, check_version, first_files

LARGEST_SHARD = {"cpu": 16, "cuda": 256}  # images: minutes of work, lost when a worker dies
SHARDS_PER_WORKER = 4  # at least, while there are images enough: so that no worker idles at the end
# 0: the worker measures. 1: on a CPU, neither larger batches nor more networks at once are faster
BATCH = MICROBATCH = {"cpu": 1, "cuda": 0}
COMPILE = {"cpu": False, "cuda": True}  # on a CPU, compiled classifiers are not faster


class Request:
    """A job of which everything that can be wrong has been looked at.

    Raises RequestError naming what is wrong; nothing has been written or started by then.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.device, self.workers = where(job)
        self.store = None if job.out is None else Store(job.out)
        self.folder = None if self.store is None else RunFolder(self.store)
        self.precision = job.precision or PRECISION[self.device]
        with one_thread():
            self.classifier = load_classifier(
                job.model, weights=job.weights, preprocess=job.preprocess
            )
            _check_method(job, self.classifier)
        self.manifest = Manifest(
            job.manifest,
            root=job.root,
            select=job.select,
            limit=job.limit,
            classes=self.classifier.classes,
        )
        found = self.manifest.check()
        self.found, self.images = found, found.images
        stored = None
        if self.folder is not None and not job.overwrite:
            stored = self.folder.fingerprint()
            if stored is not None:
                check_version(job.out or "", stored)
        self.columns = reconcile(found.extra_types, stored)
        self.fingerprint = fingerprint(job, self.classifier, self.columns, self.precision)
        if self.folder is not None and stored is not None:
            self.folder.check(self.fingerprint)

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
            baseline=job.baseline,
            shard=shard,
            workers=max(1, self.workers),
            max_image_bytes=job.max_image_bytes or MAX_IMAGE_BYTES,
        )

    def make(self, plan: Plan) -> Callable[..., ShardWorker]:
        """Makes a worker; travels to where it works."""
        return partial(ShardWorker, self.worker_spec(plan.shard_size))

    def first_files(self) -> dict[str, bytes]:
        """What lies beside the tables from the start, by name."""
        return first_files(self.columns, redacted(self.job.model), self.job.method)

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


def fingerprint(
    job: Job, classifier: Classifier, columns: dict[str, pa.DataType], precision: Precision
) -> dict[str, Any]:
    """What decides the tables: a run with another fingerprint needs another output.

    Not in it: how many images at once, on how many workers, compiled or not. These change sums in
    their last bits, on GPUs only or when asked for, and a run may go on with others.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "method": job.method,
        "model": job.model,
        "weights": classifier.digest,
        "preprocess": dataclasses.asdict(classifier.preprocess),
        "precision": precision,
        "baseline": _image_digest(job.baseline),
        "seed": job.seed,
        "columns": [[name, str(type_)] for name, type_ in columns.items()],
        **dataclasses.asdict(job.config),
    }
    redacted: dict[str, Any] = all_redacted(content)  # as it is stored
    return redacted


def _check_method(job: Job, classifier: Classifier) -> None:
    side = classifier.preprocess.crop
    try:
        METHODS[job.method].check(classifier.module, torch.zeros(1, 3, side, side))
    except ValueError as error:
        raise RequestError(f"--method {job.method} with --model {job.model}: {error}") from error


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
    device, workers = places(job.gpus, job.workers, job.address)
    if device == "cpu" and job.max_memory is not None:
        raise RequestError(
            f"--max-memory {job.max_memory.human_readable(decimal=True)}: bounds what a GPU worker "
            "takes, but this run has CPU workers; leave it out, or give --gpus N"
        )
    return device, workers
