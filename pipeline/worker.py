"""The worker: a plain callable that explains one shard. Ray is not known here."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import torch
from torch import Tensor

from inr_core import METHODS, AnyConfig, MicroBatch
from pipeline.classifiers import load_classifier
from pipeline.errors import ImageError
from pipeline.frozen import Precision
from pipeline.images import LoadedImage, load_image, prefetch
from pipeline.manifest import ImageRef
from pipeline.records import explanation_row, failure_row, image_row, mask_rows
from pipeline.shard import Rows, Shard, ShardResult, shard_result

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """What a worker needs besides its shards; travels to the actors.

    batch       images optimised together (no effect on the results on a CPU)
    microbatch  images that the classifier sees at once, at the most
    threads     CPU threads; the same for every run, since sums depend on it in their last bit
    baseline    path or URL of the user's own baseline image
    """

    model: str
    weights: str | None
    preprocess: str | None
    device: str
    precision: Precision
    method: str
    config: AnyConfig
    seed: int
    extra_types: dict[str, pa.DataType]
    batch: int
    microbatch: int
    threads: int = 1
    baseline: str | None = None


class ShardWorker:
    """Holds one frozen classifier; calling it explains a shard."""

    def __init__(self, spec: WorkerSpec, name: str = "") -> None:
        if spec.device == "cpu":
            torch.set_num_threads(spec.threads)
        self.spec = spec
        self.name = name or socket.gethostname()
        self.classifier = load_classifier(
            spec.model,
            weights=spec.weights,
            preprocess=spec.preprocess,
            device=spec.device,
            precision=spec.precision,
        )
        self.microbatch = MicroBatch(spec.microbatch)
        self.baseline = self._load_baseline()

    def __call__(self, shard: Shard) -> ShardResult:
        """Explain every image of the shard; what cannot be explained becomes a failure row."""
        started = time.monotonic()
        rows = Rows()
        for chunk in chunks(self._loaded(shard, rows), self.spec.batch):
            self._explain_or_isolate(chunk, rows)
        seconds = time.monotonic() - started
        return shard_result(shard, rows, self.spec.extra_types, seconds, self.name)

    def _load_baseline(self) -> Tensor | None:
        if self.spec.baseline is None:
            return None
        pixels = load_image(self.spec.baseline, self.classifier.preprocess).pixels
        return pixels.to(self.classifier.device)

    def _loaded(self, shard: Shard, rows: Rows) -> Iterator[tuple[ImageRef, LoadedImage]]:
        """Decoded images, read ahead while the previous batch is optimised."""

        def load(ref: ImageRef) -> LoadedImage:
            return load_image(ref.image, self.classifier.preprocess)

        for ref, loaded in prefetch(shard.refs, load, ahead=2 * self.spec.batch):
            if isinstance(loaded, ImageError):
                rows.failures.append(failure_row(ref, loaded))
            else:
                yield ref, loaded

    def _explain_or_isolate(self, chunk: list[tuple[ImageRef, LoadedImage]], rows: Rows) -> None:
        """Explain a batch; if it raises, each image alone, so that only the culprit fails."""
        try:
            self._explain(chunk, rows)
        except Exception as error:  # whatever the model raises for an image is that image's failure
            if len(chunk) > 1:
                for one in chunk:
                    self._explain_or_isolate([one], rows)
            else:
                reason = str(error) if isinstance(error, ImageError) else _describe(error)
                rows.failures.append(failure_row(chunk[0][0], ImageError("explain", reason)))

    def _explain(self, chunk: list[tuple[ImageRef, LoadedImage]], rows: Rows) -> None:
        refs = [ref for ref, _ in chunk]
        device = self.classifier.device
        image_BCHW = torch.stack([loaded.pixels for _, loaded in chunk]).to(device)
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
            rows.images.append(row)
            for explanation in explained[b]:
                rows.explanations.append(explanation_row(ref.id, explanation))
                rows.masks.extend(mask_rows(ref.id, explanation))

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


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size` items; the last one may be shorter."""
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _describe(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
