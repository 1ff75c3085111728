"""The worker: a plain callable that explains one shard. Ray is not known here."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inr_core import (
    METHODS,
    CaptureFailed,
    Explanation,
    MicroBatch,
    fallbacks,
    is_out_of_memory,
)
from pipeline.classifiers import Classifier, helpers, load_classifier
from pipeline.errors import BrokenWorker, ImageError, describe
from pipeline.images import LoadedImage, closed, load_image, normalise, one_ahead, prefetch
from pipeline.manifest import ImageRef
from pipeline.run.batches import Batch, Found, Staging, chunks, usable
from pipeline.run.device import c_compiler, prepare_device
from pipeline.run.memory import CudaMeter, batch_for, best_microbatch, sizes_of_calls
from pipeline.run.prediction import predict
from pipeline.run.spec import WorkerSpec
from pipeline.run.turns import Turn
from pipeline.tables import (
    Shard,
    ShardResult,
    explanation_row,
    failure_row,
    image_row,
    mask_rows,
    shard_result,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a batch could not be explained, without the tensors that an error holds on to."""

    reason: str
    memory: bool


class ShardWorker:
    """Holds one frozen classifier; calling it explains a shard.

    record      whether a GPU's steps may be recorded as CUDA graphs
    classifier  instead of the one that `spec` names; load: instead of reading images by their path
    spec        as given, but with the batch sizes that are used
    notes       what the user should know about this worker; a result brings those that came later
    """

    def __init__(
        self,
        spec: WorkerSpec,
        name: str = "",
        *,
        record: bool = True,
        classifier: Classifier | None = None,
        load: Callable[[ImageRef], LoadedImage] | None = None,
    ) -> None:
        prepare_device(spec.device, spec.threads, spec.max_memory, compile=spec.compile)
        self.name = name or socket.gethostname()
        self.classifier = classifier or load_classifier(
            spec.model,
            weights=spec.weights,
            preprocess=spec.preprocess,
            device=spec.device,
            precision=spec.precision,
        )
        self.frozen = self.classifier.module
        self.notes = (*notes_at_start(spec), *self.frozen.notes)
        self.spec = spec
        self.broken: BrokenWorker | None = None
        try:
            self._settle(record=spec.compile and record)
        except CaptureFailed as error:  # an error now would say nothing to those that come next
            self.broken = _useless(error)
        self.baseline = self._load_baseline()
        self._load = load or self._read
        self.threads = helpers(spec.device, spec.workers)
        self.encoders = ThreadPoolExecutor(self.threads, thread_name_prefix="encode")

    def __call__(self, shard: Shard, turn: Turn | None = None) -> ShardResult:
        """Explain every image of the shard; what cannot be explained becomes a failure row.

        turn  entered for what calls must not do at the same time. A call that waits for it decodes
              its first images, one that has left it encodes its tables.
        Raises BrokenWorker.
        """
        if self.broken is not None:
            raise self.broken
        found = Found()
        decoded = prefetch(shard.refs, self._load, ahead=2 * self.spec.batch, threads=self.threads)
        batches = one_ahead(
            self.staging.batch(chunk)
            for chunk in chunks(usable(decoded, found.rows), self.spec.batch)
        )
        with closed(decoded), closing(batches), turn or nullcontext():
            started = time.monotonic()
            for batch in batches:
                self._explain_or_isolate(batch, found)
                self.staging.release(batch)
            seconds = time.monotonic() - started
            news = self._news()
        result = shard_result(shard, found.finished(), self.spec.extra_types, seconds, self.name)
        return replace(result, notes=news)

    def _settle(self, *, record: bool) -> None:
        """Sizes that are not given are measured; the classifier is compiled for them."""
        spec, open_ = self.spec, not (self.spec.batch and self.spec.microbatch)
        shown = self.frozen.shown
        self.batch, self.microbatch = 1, MicroBatch(1, record=record, dtype=shown)
        self.staging = Staging(1, self.classifier.device)
        microbatch = spec.microbatch or best_microbatch(CudaMeter(self.classifier, spec, record))
        batch = spec.batch or batch_for(microbatch, *METHODS[spec.method].together(spec.config))
        self.batch = min(batch, spec.shard or batch)
        self.microbatch = MicroBatch(microbatch, record=record, dtype=shown)
        if spec.compile:
            self._compile()
        self.spec = replace(spec, batch=self.batch, microbatch=self.microbatch.images)
        self.staging = Staging(self.batch, self.classifier.device)
        if open_:
            at_once = self.microbatch.images
            self.notes += (f"{self.batch} images together, {at_once} at once in the classifier",)

    def _compile(self) -> None:
        """Compile for the size of most calls, before any shard is timed; half if memory runs out.

        Raises the error if a single network does not fit.
        """
        samples = METHODS[self.spec.method].together(self.spec.config)[1]
        while True:
            networks = max(self._sizes()) // samples
            try:
                reason = self.frozen.compile_for(self._sizes)
                break
            except Exception as error:
                if networks == 1 or not is_out_of_memory(error):
                    raise
            self.microbatch.halve(networks, samples)
        if reason is not None:
            self.notes += (f"the classifier runs without torch.compile: {reason}",)

    def _sizes(self) -> list[int]:
        """Images of most calls of the classifier, by now."""
        return sizes_of_calls(self.batch, self.microbatch, self.spec)

    def _load_baseline(self) -> Tensor | None:
        if self.spec.baseline is None:
            return None
        pixels = load_image(self.spec.baseline, self.classifier.preprocess).pixels
        return pixels.to(self.classifier.device)

    def _read(self, ref: ImageRef) -> LoadedImage:
        return load_image(ref.image, self.classifier.preprocess, self.spec.max_image_bytes)

    def _news(self) -> tuple[str, ...]:
        """What has been given up since the last time."""
        now = (*self.frozen.notes, *fallbacks())
        news = tuple(note for note in now if note not in self.notes)
        self.notes += news
        return news

    def _explain_or_isolate(self, batch: Batch, found: Found) -> None:
        """Explain a batch; if it raises, each image alone, so that only the culprit fails.

        Where memory runs out, batches are halved from now on; an image fails if it alone is too
        much.
        """
        start = 0
        while start < len(batch):
            part = batch[start : start + self.batch]
            failure = self._attempt(part, found)
            if failure is not None and failure.memory and len(part) > 1:
                self.batch = len(part) // 2
                self.microbatch.kept.clear()
                continue
            if failure is not None and len(part) == 1:
                error = ImageError("explain", failure.reason)
                found.rows.failures.append(failure_row(part.items[0][0], error))
            elif failure is not None:
                for one in range(len(part)):
                    self._explain_or_isolate(part[one : one + 1], found)
            start += len(part)

    def _attempt(self, batch: Batch, found: Found) -> Failure | None:
        """Explain a batch; returns why it could not be done."""
        try:
            self._explain(batch, found)
        except CaptureFailed as error:
            raise _useless(error) from None
        except Exception as error:  # whatever the model raises for an image is that image's failure
            memory = is_out_of_memory(error)
            if isinstance(error, torch.AcceleratorError) and not memory:
                raise BrokenWorker(describe(error)) from None  # the GPU answers nothing any more
            reason = error.reason if isinstance(error, ImageError) else describe(error)
            return Failure(reason, memory)
        return None

    def _explain(self, batch: Batch, found: Found) -> None:
        rgb_BCHW = batch.rgb_BCHW.to(self.classifier.device, non_blocking=True)
        image_BCHW = normalise(rgb_BCHW, self.classifier.preprocess)
        refs = [ref for ref, _ in batch.items]
        said = predict(image_BCHW, refs, self._classify, self.microbatch)
        explained = METHODS[self.spec.method].explain(
            image_BCHW,
            said.target_B,
            said.score_B,
            [ref.id for ref in refs],
            self._classify,
            self.spec.config,
            seed=self.spec.seed,
            microbatch=self.microbatch,
            module=self.classifier.module,
            custom_baseline=self.baseline,
        )
        for b, (ref, loaded) in enumerate(batch.items):
            if not all(map(_is_finite, explained[b])):
                error = ImageError(
                    "explain", "the classifier's scores of masked images are not finite"
                )
                found.rows.failures.append(failure_row(ref, error))
                continue
            classes, target = self.classifier.classes, said.target[b]
            row = image_row(ref, loaded, classes, target, said.predicted[b])
            found.rows.images.append(row)
            for explanation in explained[b]:
                found.rows.explanations.append(explanation_row(ref.id, target[0], explanation))
                encoded = self.encoders.submit(mask_rows, ref.id, target[0], explanation)
                found.masks.append(encoded)

    def _classify(self, image_MCHW: Tensor) -> Tensor:
        """Logits of images, (M, K); ImageError if there are not as many as there are classes."""
        logits_MK = self.classifier.classify(image_MCHW)
        expected = len(image_MCHW), len(self.classifier.classes)
        if logits_MK.shape != expected:
            raise ImageError(
                "explain", f"the classifier returned {tuple(logits_MK.shape)}, expected {expected}"
            )
        return logits_MK


def _is_finite(explanation: Explanation) -> bool:
    """Whether all scores of its masks are numbers."""
    return all(map(math.isfinite, (*explanation.kept, *explanation.removed)))


def notes_at_start(spec: WorkerSpec) -> tuple[str, ...]:
    """What is missing on the machine."""
    if spec.device == "cpu" or not spec.compile or c_compiler() is not None:
        return ()
    return (
        "no C compiler is installed (gcc or clang, or one that CC names), without which nothing"
        " can be compiled for the GPU; the image of deploy/Dockerfile has one",
    )


def _useless(error: CaptureFailed) -> BrokenWorker:
    """After a capture that failed this process allocates nothing any more."""
    return BrokenWorker(describe(error), {"record": False})
