"""The learner: fits a start to lessons, and says how well it does on images held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core import LearnedStart, disagreement
from pipeline.errors import RequestError
from pipeline.learning.config import LearnConfig
from pipeline.learning.lessons import Lessons


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """A learnt start.

    before, after    mean cross-entropy, in nats a cell, between the masks held out and those of
                     the evidence as it is, then as it is learnt
    lessons          learnt from
    held_out         lessons held out
    """

    start: LearnedStart
    before: float
    after: float
    lessons: int
    held_out: int


def learn(
    runs: Sequence[Lessons], config: LearnConfig, report: Callable[[str], None] = lambda doing: None
) -> Learnt:
    """Learn from the lessons of some runs. RequestError where there are too few."""
    learning, held_out = _split(runs, config)
    with torch.random.fork_rng(devices=[]):  # modules draw their weights from the common source
        torch.manual_seed(config.seed)
        learned = LearnedStart()
    before = _mean(learned, held_out)
    _fit(learned, learning, config, report)
    learned.eval().requires_grad_(False)
    return Learnt(
        start=learned,
        before=before,
        after=_mean(learned, held_out),
        lessons=sum(map(len, learning)),
        held_out=sum(map(len, held_out)),
    )


def _fit(
    learned: LearnedStart,
    lessons: Sequence[Lessons],
    config: LearnConfig,
    report: Callable[[str], None],
) -> None:
    rng = torch.Generator().manual_seed(config.seed)
    weights, decay = list(learned.parameters()), config.weight_decay
    optimizer = torch.optim.AdamW(weights, config.learning_rate, weight_decay=decay)
    steps = config.epochs * sum(math.ceil(len(own) / config.batch) for own in lessons)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(1, config.epochs + 1):
        losses = []
        for own, chosen in _batches(lessons, config.batch, rng):
            mirrored = bool(torch.randint(2, (1,), generator=rng))
            loss = _losses(learned, own, chosen, mirrored).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        mean = sum(losses) / len(losses)
        report(f"epoch {epoch} of {config.epochs}: loss {mean:.4f}")


def _batches(
    lessons: Sequence[Lessons], size: int, rng: torch.Generator
) -> list[tuple[Lessons, Tensor]]:
    """Lessons of one run together, as runs may differ in shapes; all in random order."""
    batches = [
        (own, chosen)
        for own in lessons
        for chosen in torch.split(torch.randperm(len(own), generator=rng), size)
    ]
    return [batches[n] for n in torch.randperm(len(batches), generator=rng).tolist()]


def _losses(
    learned: LearnedStart, lessons: Lessons, chosen: Tensor, mirrored: bool = False
) -> Tensor:
    """Of the chosen lessons, (N,)."""
    clue, mask = lessons.clue_NKhw[chosen].float(), lessons.mask_NAhw[chosen].float()
    if mirrored:
        clue, mask = clue.flip(3), mask.flip(3)
    return disagreement(learned.coarse(clue), mask, lessons.area_NA[chosen])


@torch.no_grad()
def _mean(learned: LearnedStart, lessons: Sequence[Lessons]) -> float:
    losses = [_losses(learned, own, torch.arange(len(own))) for own in lessons]
    return float(torch.cat(losses).mean())


def _split(runs: Sequence[Lessons], config: LearnConfig) -> tuple[list[Lessons], list[Lessons]]:
    """Lessons to learn from, and those held out: the last ones of every run."""
    learning, held_out = [], []
    for own in runs:
        count = round(config.held_out * len(own))
        if not 0 < count < len(own):
            raise RequestError(
                f"{len(own)} images, of which {count} would be held out; expected some to learn "
                "from and some to hold out; give a run of more images"
            )
        learning.append(own.part(slice(0, len(own) - count)))
        held_out.append(own.part(slice(len(own) - count, None)))
    return learning, held_out
