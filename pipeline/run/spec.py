"""What a worker needs besides its shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from inr_core import AnyConfig, Head
from pipeline.classifiers import Precision, TargetRule
from pipeline.images import MAX_IMAGE_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """What a worker needs besides its shards; travels to the actors.

    batch       images optimised together (no effect on the results on a CPU)
    microbatch  images that the classifier sees at once, at the most
                0, of either: as many as the worker finds best when it starts; GPUs only
    compile     have the classifier compiled, and on a GPU the steps recorded as CUDA graphs
    max_memory  bytes that a GPU worker may take for tensors
    gpu         share of a GPU that it may take of memory and of the node's CPUs
    threads     CPU threads; the same for every run, since sums depend on it in their last bit
    baseline    path or URL of the user's own baseline image
    start_file  path or URL of a learned start
    shard       images of a shard, at the most; 0: unknown
    workers     of the run, on all nodes
    max_image_bytes  that are read of an image
    targets     which classes of an image are explained
    head        of the classifier
    labels      names of its classes in place of its own
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
    gpu: float = 1.0
    threads: int = 1
    baseline: str | None = None
    start_file: str | None = None
    shard: int = 0
    workers: int = 1
    max_image_bytes: int = MAX_IMAGE_BYTES
    targets: TargetRule = TargetRule()
    head: Head = "softmax"
    labels: tuple[str, ...] | None = None

    def moved(self, files: Mapping[str, str]) -> WorkerSpec:
        """With the files at other places: URI -> URI."""

        def now(uri: str | None) -> str | None:
            return None if uri is None else files.get(uri, uri)

        kind, _, name = self.model.partition(":")
        model = f"{kind}:{files[name]}" if name in files else self.model
        return replace(
            self,
            model=model,
            weights=now(self.weights),
            baseline=now(self.baseline),
            start_file=now(self.start_file),
        )
