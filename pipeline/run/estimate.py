"""What a plan will cost: classifier passes, time and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from inr_core import METHODS
from pipeline.classifiers import seconds_of_a_pass
from pipeline.run.plan import Plan, Request
from pipeline.store import Committed

BYTES_PER_PIXEL = 0.2  # of a stored mask; smooth masks compress well (PNG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """passes     of the classifier per image, forward alone or with gradient
    seconds    for the pending images; None when nothing is known
    source     where the figure comes from
    bytes      of the tables, for the pending images
    """

    passes: int
    seconds: float | None
    source: str
    bytes: float


def estimate_cost(request: Request, plan: Plan, committed: Committed) -> Estimate:
    """From the rate of the shards committed so far; else, on CPUs, from a few timed passes."""
    config, method = request.job.config, METHODS[request.job.method]
    passes = method.passes(config)
    seconds, source = _seconds(request, plan, committed, passes)
    networks = method.networks(config)
    mask_bytes = BYTES_PER_PIXEL * request.classifier.preprocess.crop**2 * len(config.areas)
    each = max(1, networks) * mask_bytes
    if networks:
        each += networks * 2 * config.mask.network.parameter_count
    return Estimate(passes=passes, seconds=seconds, source=source, bytes=plan.pending * each)


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
