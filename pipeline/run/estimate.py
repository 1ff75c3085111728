"""What a plan will cost: classifier passes, time and bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from inr_core import METHODS
from pipeline.classifiers import cpus_of_a_gpu, seconds_of_a_pass
from pipeline.errors import ImageError
from pipeline.images import load_image
from pipeline.run.plan import Request
from pipeline.run.work import Plan
from pipeline.store import Committed
from pipeline.tables import png

NEAR = 0.8  # of what CPUs can do: beyond it, a GPU waits for them now and then
TIMES = 3
BYTES_PER_PIXEL = 0.2  # of a stored mask; smooth masks compress well (PNG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What CPUs do for a GPU: decoding images, encoding masks.

    seconds     of one CPU for an image
    cpus        for each GPU; None where the nodes are not known
    images_per_s  of a GPU so far, if any
    """

    seconds: float
    cpus: int | None
    images_per_s: float | None

    @property
    def most(self) -> float:
        """Images/s of a GPU that its CPUs keep up with; of one CPU where nobody knows how many."""
        return (self.cpus or 1) / self.seconds

    @property
    def is_limit(self) -> bool:
        """Whether the GPU waits for its CPUs, as far as that is known."""
        if self.cpus is None or self.images_per_s is None:
            return False
        return self.images_per_s > NEAR * self.most


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """passes     of the classifier per image, forward alone or with gradient; where the number of
               classes is not known before, per class
    seconds    for the pending images; None when nothing is known
    source     where the figure comes from
    bytes      of the tables, for the pending images
    host       of a run on GPUs: what a CPU takes for an image; None when nothing is known
    """

    passes: int
    seconds: float | None
    source: str
    bytes: float
    host: Host | None = None


def estimate_cost(request: Request, plan: Plan, committed: Committed) -> Estimate:
    """From the rate of the shards committed so far; else, on CPUs, from a few timed passes."""
    config, method = request.job.config, METHODS[request.job.method]
    passes = method.passes(config) * request.rule.count
    seconds, source = _seconds(request, plan, committed, passes)
    networks = method.networks(config)
    pixels = math.prod(request.classifier.preprocess.size)
    mask_bytes = BYTES_PER_PIXEL * pixels * len(config.areas)
    each = request.rule.count * max(1, networks) * mask_bytes
    if networks:
        each += request.rule.count * networks * 2 * config.mask.network.parameter_count
    return Estimate(
        passes=passes,
        seconds=seconds,
        source=source,
        bytes=plan.pending * each,
        host=None if plan.device == "cpu" else _host(request, plan, committed),
    )


def _host(request: Request, plan: Plan, committed: Committed) -> Host | None:
    """From timing the manifest's first image, and masks like those to come, on this machine."""
    ref, fields = next(iter(request.manifest), None), request.classifier.preprocess
    if ref is None:
        return None
    config = request.job.config
    networks = max(1, METHODS[request.job.method].networks(config))
    masks = request.rule.count * networks * len(config.areas)
    disc = np.asarray(Image.radial_gradient("L").resize(fields.size[::-1]))
    try:
        decoding = _fastest(lambda: load_image(ref.image, fields))
    except ImageError:
        return None
    own = request.job.address is None
    return Host(
        seconds=decoding + masks * _fastest(lambda: png(disc)),
        cpus=cpus_of_a_gpu(plan.workers) if own else None,
        images_per_s=committed.attempts / committed.seconds if committed.attempts else None,
    )


def _fastest(work: Callable[[], object]) -> float:
    """Seconds; the best of a few."""
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _seconds(
    request: Request, plan: Plan, committed: Committed, passes: int
) -> tuple[float | None, str]:
    workers = max(1, plan.workers)
    if committed.attempts:
        each = committed.seconds / committed.attempts
        source = f"from {committed.attempts} images explained so far"
        return plan.pending * each / workers, source
    if plan.device != "cpu":
        return None, "known once a first shard is committed"
    each = passes * seconds_of_a_pass(request.classifier)
    return plan.pending * each / workers, "from timing the classifier on this machine"
