"""The worker: a plain callable that explains one shard. Ray is not known here."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from inr_core import METHODS, MicroBatch
from pipeline.classifiers import load_classifier
from pipeline.errors import BrokenWorker, ImageError, describe
from pipeline.images import LoadedImage, load_image, prefetch
from pipeline.manifest import ImageRef
from pipeline.run.batches import Chunk, Found, chunks, usable
from pipeline.run.device import prepare_device, upload
from pipeline.run.memory import CudaMeter, batch_for, best_microbatch, images_of_a_call
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

ENCODERS = 2  # threads that make PNGs of a batch's masks while the next one is optimised


class ShardWorker:
    """Holds one frozen classifier; calling it explains a shard.

    spec   as given, but with the batch sizes that are used
    notes  what the user should know about this worker
    """

    def __init__(self, spec: WorkerSpec, name: str = "") -> None:
        prepare_device(spec.device, spec.threads, spec.max_memory, compile=spec.compile)
        self.name = name or socket.gethostname()
        self.classifier = load_classifier(
            spec.model,
            weights=spec.weights,
            preprocess=spec.preprocess,
            device=spec.device,
            precision=spec.precision,
        )
        self.notes: tuple[str, ...] = ()
        self.spec = self._sized(spec)
        self.batch = self.spec.batch
        self.microbatch = MicroBatch(self.spec.microbatch, record=spec.compile)
        if spec.compile:
            self._compile()
        self.baseline = self._load_baseline()
        self.encoders = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode")

    def __call__(self, shard: Shard, turn: Turn | None = None) -> ShardResult:
        """Explain every image of the shard; what cannot be explained becomes a failure row.

        turn  entered for what calls must not do at the same time. A call that waits for it decodes
              its first images, one that has left it encodes its tables.
        """
        found = Found()
        decoded = prefetch(shard.refs, self._load, ahead=2 * self.spec.batch)
        with closing(decoded), turn or nullcontext():
            started = time.monotonic()
            for chunk in chunks(usable(decoded, found.rows), self.spec.batch):
                self._explain_or_isolate(chunk, found)
            seconds = time.monotonic() - started
        return shard_result(shard, found.finished(), self.spec.extra_types, seconds, self.name)

    def _sized(self, spec: WorkerSpec) -> WorkerSpec:
        """The specification without open sizes."""
        if spec.batch and spec.microbatch:
            return spec
        frozen, side = self.classifier.module, self.classifier.preprocess.crop
        microbatch = spec.microbatch or best_microbatch(CudaMeter(frozen, side, spec.max_memory))
        batch = spec.batch or batch_for(microbatch, *METHODS[spec.method].together(spec.config))
        self.notes += (f"{batch} images together, {microbatch} at once in the classifier",)
        return replace(spec, batch=batch, microbatch=microbatch)

    def _compile(self) -> None:
        """Compile for the size of most calls, before any shard is timed."""
        spec = self.spec
        batch = 1 if spec.device == "cpu" else spec.batch  # a CPU takes one image after the other
        together = METHODS[spec.method].together(spec.config)
        images = images_of_a_call(batch, spec.microbatch, *together)
        reason = self.classifier.module.compile_for(images)
        if reason is not None:
            self.notes += (f"the classifier runs without torch.compile: {reason}",)

    def _load_baseline(self) -> Tensor | None:
        if self.spec.baseline is None:
            return None
        pixels = load_image(self.spec.baseline, self.classifier.preprocess).pixels
        return pixels.to(self.classifier.device)

    def _load(self, ref: ImageRef) -> LoadedImage:
        return load_image(ref.image, self.classifier.preprocess)

    def _explain_or_isolate(self, chunk: Chunk, found: Found) -> None:
        """Explain a batch; if it raises, each image alone, so that only the culprit fails.

        Where memory runs out, batches are halved from now on; an image fails if it alone is too
        much.
        """
        while chunk:
            part, chunk = chunk[: self.batch], chunk[self.batch :]
            error = self._attempt(part, found)
            if error is None:
                continue
            if len(part) == 1:
                reason = error.reason if isinstance(error, ImageError) else describe(error)
                found.rows.failures.append(failure_row(part[0][0], ImageError("explain", reason)))
            elif isinstance(error, torch.OutOfMemoryError):
                self.batch = len(part) // 2
                self.microbatch.kept.clear()
                chunk = part + chunk
            else:
                for one in part:
                    self._explain_or_isolate([one], found)

    def _attempt(self, chunk: Chunk, found: Found) -> Exception | None:
        """Explain a batch; returns what it raises, without the tensors that its traceback holds."""
        try:
            self._explain(chunk, found)
        except torch.AcceleratorError as error:  # the GPU answers nothing any more
            raise BrokenWorker(describe(error)) from None
        except Exception as error:  # whatever the model raises for an image is that image's failure
            return error.with_traceback(None)
        return None

    def _explain(self, chunk: Chunk, found: Found) -> None:
        refs = [ref for ref, _ in chunk]
        device = self.classifier.device
        image_BCHW = upload([loaded.pixels for _, loaded in chunk], device)
        scores_BK = self._scores(image_BCHW)
        predicted_B = scores_BK.argmax(1)
        targets = [
            int(p) if r.target is None else r.target for r, p in zip(refs, predicted_B, strict=True)
        ]
        target_B = torch.tensor(targets, device=device)
        score_B = scores_BK.gather(1, target_B[:, None])[:, 0]
        explained = METHODS[self.spec.method].explain(
            image_BCHW,
            target_B,
            score_B,
            [ref.id for ref in refs],
            self.classifier.classify,
            self.spec.config,
            seed=self.spec.seed,
            microbatch=self.microbatch,
            module=self.classifier.module,
            custom_baseline=self.baseline,
        )
        for b, (ref, loaded) in enumerate(chunk):
            p = int(predicted_B[b])
            row = image_row(
                ref,
                loaded,
                self.classifier.classes,
                (targets[b], score_B[b].item()),
                (p, scores_BK[b, p].item()),
            )
            found.rows.images.append(row)
            for explanation in explained[b]:
                found.rows.explanations.append(explanation_row(ref.id, explanation))
                found.masks.append(self.encoders.submit(mask_rows, ref.id, explanation))

    @torch.no_grad()
    def _scores(self, image_BCHW: Tensor) -> Tensor:
        """Softmax scores of the whole images, (B, K); ImageError if one is not finite."""
        parts = self.microbatch.run(
            lambda part: self.classifier.classify(image_BCHW[part]), len(image_BCHW), 1
        )
        scores_BK = torch.cat(parts).softmax(1)
        if not bool(scores_BK.isfinite().all()):
            raise ImageError("explain", "the classifier's scores of the image are not finite")
        return scores_BK
