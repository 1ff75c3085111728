"""The method alone, on images in memory: called as a worker calls it, its passes counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inr_core import METHODS, Explanation, MicroBatch
from pipeline.benchmark.passes import Calls, PassCounter
from pipeline.errors import ImageError, RequestError
from pipeline.images import load_image
from pipeline.manifest import ImageRef
from pipeline.run import ShardWorker, chunks, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Prepared images (B, C, H, W), once for each class that is explained, and ids.

    columns  see `pipeline.run.columns`
    """

    image_BCHW: Tensor
    columns: dict[str, Tensor]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A method at a worker's place; `counter` sees every call of the classifier.

    config  of the class that belongs to the method
    """

    worker: ShardWorker
    counter: PassCounter
    method: str
    config: Any

    def __call__(
        self, batch: Batch, microbatch: MicroBatch | None = None
    ) -> list[list[Explanation]]:
        """Explain a batch."""
        return METHODS[self.method].explain(
            batch.image_BCHW,
            **batch.columns,
            ids=list(batch.ids),
            classify=self.counter,
            config=self.config,
            seed=self.worker.spec.seed,
            microbatch=microbatch or self.worker.microbatch,
            module=self.counter,
            custom_baseline=self.worker.baseline,
            head=self.worker.classifier.head,
            learned=self.worker.learned,
        )

    def calls(self, batch: Batch) -> Calls:
        """What the classifier is asked for a batch; not as fast, as each step has to be seen."""
        self.counter.take()
        own = self.worker.microbatch
        self(batch, MicroBatch(own.images, record=False, dtype=own.dtype))
        return self.counter.take()


def prepared(worker: ShardWorker, refs: Sequence[ImageRef]) -> list[Batch]:
    """Images in batches as the worker would make them; RequestError for one that cannot be read."""
    return [_batch(worker, chunk) for chunk in chunks(refs, worker.spec.batch)]


@torch.no_grad()
def _batch(worker: ShardWorker, refs: Sequence[ImageRef]) -> Batch:
    classifier = worker.classifier
    try:
        pixels = [load_image(ref.image, classifier.preprocess).pixels for ref in refs]
    except ImageError as error:
        names = ", ".join(ref.image for ref in refs)
        raise RequestError(f"{names}: {error}; benchmark images that can be read") from error
    image_BCHW = torch.stack(pixels).to(classifier.device)
    scores_BK = classifier.scores(classifier.classify(image_BCHW)).cpu()
    asked = worker.asking.of(scores_BK, refs).all_asked
    if not asked:
        raise RequestError("no class of these images is to be explained; benchmark others")
    return Batch(
        image_BCHW=image_BCHW[[one.image for one in asked]],
        columns=columns(asked, classifier.device),
        ids=tuple(refs[one.image].id for one in asked),
    )
