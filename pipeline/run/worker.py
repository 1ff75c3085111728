"""The worker: a plain callable that explains one shard. Ray is not known here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from inr_core import (
    METHODS,
    CaptureFailed,
    Explanation,
    LearnedStart,
    MicroBatch,
    fallbacks,
    is_out_of_memory,
)
from pipeline.classifiers import Classifier, helpers, load_classifier
from pipeline.errors import BrokenWorker, ImageError, describe
from pipeline.images import (
    AHEAD,
    READERS,
    LoadedImage,
    Together,
    closed,
    decoded,
    load_image,
    normalise,
    one_ahead,
    prefetch,
)
from pipeline.manifest import ImageRef
from pipeline.run.batches import Batch, Found, Item, Staging, chunks, usable
from pipeline.run.device import c_compiler, prepare_device, share_of_memory
from pipeline.run.memory import CudaMeter, batch_for, best_microbatch, sizes_of_calls
from pipeline.run.prediction import Asked, Asking, Prediction, columns, contrast_of, scores_of
from pipeline.run.spec import WorkerSpec
from pipeline.run.turns import Turn
from pipeline.starts import read_start
from pipeline.tables import Shard, ShardResult, failure_row, shard_result


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a batch could not be explained, without the tensors that an error holds on to.

    together  how many of its images, or of the classes asked for, were worked on at once
    """

    reason: str
    memory: bool
    together: int


class ShardWorker:
    """Holds one frozen classifier; calling it explains a shard.

    record      whether a GPU's steps may be recorded as CUDA graphs
    classifier  instead of the one that `spec` names; load: instead of reading images by their path
    files       where files of the spec lie, only until the worker is made
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
        files: Mapping[str, str] | None = None,
    ) -> None:
        spec = spec.moved(files or {})
        limit = share_of_memory(spec.device, spec.gpu, spec.max_memory)
        spec = replace(spec, max_memory=limit)
        prepare_device(spec.device, spec.threads, spec.max_memory, compile=spec.compile)
        self.name = name or socket.gethostname()
        self.classifier = classifier or load_classifier(
            spec.model,
            weights=spec.weights,
            preprocess=spec.preprocess,
            device=spec.device,
            precision=spec.precision,
            head=spec.head,
            labels=spec.labels,
        )
        self.frozen = self.classifier.module
        self.notes = (*notes_at_start(spec), *self.frozen.notes)
        self.spec = spec
        self.broken: BrokenWorker | None = None
        try:
            self._settle(record=spec.compile and record)
        except CaptureFailed as error:  # an error now would say nothing to those that come next
            self.broken = _useless(error)
        self.asking = Asking(spec.targets, contrast_of(spec.config), self.classifier.classes)
        self.baseline = self._load_baseline()
        self.learned = self._load_start()
        self._own_load = load
        self.threads = max(1, round(spec.gpu * helpers(spec.device, spec.workers)))
        self.decoding = threading.Semaphore(self.threads)  # more threads only wait for files
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
        loaded = self._loaded(shard)
        batches = one_ahead(
            self.staging.batch(chunk)
            for chunk in chunks(usable(loaded, found.rows), self.spec.batch)
        )
        with closed(loaded), closing(batches), turn or nullcontext():
            started = time.monotonic()
            for batch in batches:
                self._explain_or_isolate(batch, found)
                self.staging.release(batch)
            seconds = time.monotonic() - started
            news = self._news()
        result = shard_result(
            shard,
            found.finished(),
            self.spec.extra_types,
            seconds,
            self.name,
            contrast=self.asking.contrast is not None,
        )
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

    def _load_start(self) -> LearnedStart | None:
        if self.spec.start_file is None:
            return None
        return read_start(self.spec.start_file).to(self.classifier.device)

    def _loaded(self, shard: Shard) -> Generator[tuple[ImageRef, LoadedImage | ImageError]]:
        """The shard's images in order, read and decoded in threads."""
        ahead = max(AHEAD, 2 * self.spec.batch)
        if self._own_load is not None:
            return prefetch(shard.refs, self._own_load, ahead=ahead, threads=self.threads)
        read = Together([ref.image for ref in shard.refs], self.spec.max_image_bytes)
        return prefetch(shard.refs, partial(self._load, read), ahead=ahead, threads=READERS)

    def _load(self, read: Callable[[str], bytes], ref: ImageRef) -> LoadedImage:
        data = read(ref.image)
        with self.decoding:
            return decoded(data, self.classifier.preprocess)

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
            if failure is not None and failure.memory and failure.together > 1:
                self.batch = failure.together // 2
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
        together = len(batch)
        try:
            image_BCHW, said = self._look(batch)
            together = min(self.batch, len(said.all_asked))
            explained = [
                explanations
                for asked in chunks(said.all_asked, self.batch)
                for explanations in self._explain(image_BCHW, asked, batch.items)
            ]
            found.keep(batch, said, explained, self.classifier.classes, self.encoders)
        except CaptureFailed as error:
            raise _useless(error) from None
        except Exception as error:  # whatever the model raises for an image is that image's failure
            memory = is_out_of_memory(error)
            if isinstance(error, torch.AcceleratorError) and not memory:
                raise BrokenWorker(describe(error)) from None  # the GPU answers nothing any more
            reason = error.reason if isinstance(error, ImageError) else describe(error)
            return Failure(reason, memory, together)
        return None

    def _look(self, batch: Batch) -> tuple[Tensor, Prediction]:
        """The images as the classifier takes them, and what it says of them."""
        rgb_BCHW = batch.rgb_BCHW.to(self.classifier.device, non_blocking=True)
        image_BCHW = normalise(rgb_BCHW, self.classifier.preprocess)
        score_BK = scores_of(image_BCHW, self._classify, self.classifier.head, self.microbatch)
        return image_BCHW, self.asking.of(score_BK, [ref for ref, _ in batch.items])

    def _explain(
        self, image_BCHW: Tensor, asked: Sequence[Asked], items: Sequence[Item]
    ) -> list[list[Explanation]]:
        """Explanations of each class asked for."""
        return METHODS[self.spec.method].explain(
            image_BCHW[[one.image for one in asked]],
            **columns(asked, self.classifier.device),
            ids=[items[one.image][0].id for one in asked],
            classify=self._classify,
            config=self.spec.config,
            seed=self.spec.seed,
            microbatch=self.microbatch,
            module=self.classifier.module,
            custom_baseline=self.baseline,
            head=self.classifier.head,
            learned=self.learned,
        )

    def _classify(self, image_MCHW: Tensor) -> Tensor:
        """Logits of images, (M, K); ImageError if there are not as many as there are classes."""
        logits_MK = self.classifier.classify(image_MCHW)
        expected = len(image_MCHW), len(self.classifier.classes)
        if logits_MK.shape != expected:
            raise ImageError(
                "explain", f"the classifier returned {tuple(logits_MK.shape)}, expected {expected}"
            )
        return logits_MK


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
