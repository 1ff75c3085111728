"""What a worker needs besides its shards."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from inr_core import AnyConfig
from pipeline.classifiers import Precision
from pipeline.images import MAX_IMAGE_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """What a worker needs besides its shards; travels to the actors.

    batch       images optimised together (no effect on the results on a CPU)
    microbatch  images that the classifier sees at once, at the most
                0, of either: as many as the worker finds best when it starts; GPUs only
    compile     have the classifier compiled, and on a GPU the steps recorded as CUDA graphs
    max_memory  bytes that a GPU worker may take for tensors
    threads     CPU threads; the same for every run, since sums depend on it in their last bit
    baseline    path or URL of the user's own baseline image
    shard       images of a shard, at the most; 0: unknown
    workers     of the run, on all nodes
    max_image_bytes  that are read of an image
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
    compile: bool = False
    max_memory: int | None = None
    threads: int = 1
    baseline: str | None = None
    shard: int = 0
    workers: int = 1
    max_image_bytes: int = MAX_IMAGE_BYTES
