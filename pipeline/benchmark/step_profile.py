"""Where the time of an optimisation step of inr goes.

The classifier's passes and the optimiser are timed where they run, in the real loop: marks that
change nothing stand before and after the classifier, on the way forward and on the way back, and
hooks around the optimiser. Network, area and blend have no such seams: each is timed alone, forward
and back, on the networks that the loop has found and in its shapes, after passes of the classifier
as in the loop. `other` is the rest of the step: reward, penalties, Python, waiting. It can come out
below 0, where parts alone take longer than in the loop. On a CPU, times are the processor's, of
this process, which other programs do not lengthen.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from inr_core import InrConfig, StartConfig
from pipeline.benchmark.loop import Batch, Loop
from pipeline.benchmark.passes import BarePasses, Calls, synchronise, timed
from pipeline.benchmark.step_parts import StepParts

STEPS = 12
BARE = "bare passes"
PARTS = {  # the interval after a mark -> the part of the step that it belongs to
    "image": "classifier forward",
    "logits back": "classifier backward",
    "optimiser": "optimiser",
}


def profile_step(loop: Loop, batch: Batch) -> dict[str, float]:
    """Median seconds of each part, of `other`, of the whole `step`, and of its `bare passes`.

    Steps of the first round, from a random start. On a CPU, where images are explained one after
    the other, those of the first image.
    """
    loop = replace(loop, config=_steps_only(loop.config))
    if batch.image_BCHW.device.type == "cpu":
        batch = Batch(
            image_BCHW=batch.image_BCHW[:1],
            target_B=batch.target_B[:1],
            score_B=batch.score_B[:1],
            ids=batch.ids[:1],
        )
    loop.counter.take()
    marks = Marks(batch.image_BCHW.device)
    theta_NK = marked_run(loop, batch, marks)
    sizes = loop.counter.take().with_gradient
    calls = Calls(sizes[: len(sizes) // STEPS], ())
    bare = BarePasses(loop.counter.module, calls, batch.image_BCHW)
    parts = StepParts(loop, batch, theta_NK)
    alone = _alone(
        {BARE: bare, "network": parts.network, "area": parts.area, "blend": parts.blend},
        marks.device,
    )
    bare_seconds = alone.pop(BARE)
    marked = marks.per_step(len(calls.with_gradient))
    whole = marked.pop("step")
    other = whole - sum(alone.values()) - sum(marked.values())
    return {**alone, **marked, "other": other, "step": whole, BARE: bare_seconds}


def _steps_only(config: InrConfig) -> InrConfig:
    """Few steps, and nothing else that has gradients."""
    return replace(
        config,
        objective=config.objective.for_rounds(config.rounds),
        rounds=1,
        start=StartConfig(kind="random"),
        optimise=replace(config.optimise, steps=STEPS),
    )


class Marks:
    """Names and times of what happens, in order: on a GPU in its stream, else processor time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.names: list[str] = []
        self.times: list[Any] = []

    def __call__(self, name: str) -> None:
        """Note that `name` happens now."""
        self.names.append(name)
        if self.device.type == "cuda":
            self.times.append(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            self.times[-1].record()
        else:
            self.times.append(time.process_time())

    def per_step(self, calls: int) -> dict[str, float]:
        """Median seconds of the marked parts and of the `step`.

        calls  of the classifier in a step; a step lasts from its first one to the next step's
        """
        steps = self.names.count("image back") // calls
        begins = [n for n, name in enumerate(self.names) if name == "image"]
        spans = self._seconds()
        found: dict[str, list[float]] = defaultdict(list)
        for begin, end in pairwise(begins[: steps * calls : calls]):
            found["step"].append(sum(spans[begin:end]))
            for mark, part in PARTS.items():
                own = [n for n in range(begin, end) if self.names[n] == mark]
                found[part].append(sum(spans[n] for n in own))
        return {part: median(seconds) for part, seconds in found.items()}

    def _seconds(self) -> list[float]:
        """From each mark to the next."""
        if self.device.type != "cuda":
            return [later - earlier for earlier, later in pairwise(self.times)]
        synchronise(self.device)
        return [earlier.elapsed_time(later) / 1000 for earlier, later in pairwise(self.times)]


class _Mark(torch.autograd.Function):
    """The tensor as it is; marks when it passes, forward and back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, marks: Marks, name: str) -> Tensor:
        ctx.marks, ctx.name = marks, name
        marks(name)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        ctx.marks(f"{ctx.name} back")
        return grads[0], None, None


def marked_run(loop: Loop, batch: Batch, marks: Marks) -> Tensor:
    """Explain a batch, marking what happens; returns the networks, (N, K)."""

    def classify(image_MCHW: Tensor) -> Tensor:
        logits: Tensor = loop.counter(_Mark.apply(image_MCHW, marks, "image"))
        marked: Tensor = _Mark.apply(logits, marks, "logits")
        return marked

    before = register_optimizer_step_pre_hook(lambda *_: marks("optimiser"))
    after = register_optimizer_step_post_hook(lambda *_: marks("updated"))
    try:
        found = loop(batch, classify)
    finally:
        before.remove()
        after.remove()
    networks = [e.parameters for of_image in found for e in of_image if e.parameters is not None]
    return torch.stack(networks).to(marks.device, torch.float32)


def _alone(parts: Mapping[str, Callable[[], object]], device: torch.device) -> dict[str, float]:
    """Median seconds of each part; all are called in turn, as often as there are steps."""
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(STEPS):
        for name, work in parts.items():
            took = timed(work, device)
            found[name].append(took.wall if device.type == "cuda" else took.cpu)
    return {name: median(seconds) for name, seconds in found.items()}
