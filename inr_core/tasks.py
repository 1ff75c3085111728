"""The networks that a batch of images gets, and what each of them waits for.

A round waits for the one before, which it may not touch. A restart that is to keep away from the
earlier ones waits for them; restarts that are independent begin together.

Shapes: J earlier rounds of the last round, R earlier restarts of the last one, K parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from inr_core.config import InrConfig
from inr_core.seeds import stable_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One network to be optimised.

    image         index of the image in its batch
    previous_JK   parameters of the same restart in the earlier rounds, 0 for those to come
    others_RK     parameters of the first round of the earlier restarts, 0 for those to come; no
                  row where restarts are independent
    """

    image: int
    restart: int
    round: int
    seed: int
    previous_JK: Tensor
    others_RK: Tensor

    @property
    def repelled(self) -> int:
        """From how many of the others it keeps away: later rounds have only their own chain."""
        return self.restart if len(self.others_RK) and self.round == 0 else 0


class Tasks:
    """The tasks of a batch of images with these ids; `like` has the device of its networks."""

    def __init__(self, ids: Sequence[str], config: InrConfig, seed: int, like: Tensor) -> None:
        self.ids, self.config, self.seed, self.like = ids, config, seed, like

    def first(self) -> list[Task]:
        """Those that wait for nothing, an image's restarts one after the other."""
        config = self.config
        restarts = range(1 if config.repels else config.restarts)
        others_RK = self._none(config.restarts - 1 if config.repels else 0)
        none_JK = self._none(config.rounds - 1)
        images = range(len(self.ids))
        return [self._task(image, r, 0, none_JK, others_RK) for image in images for r in restarts]

    def after(self, task: Task, theta_K: Tensor) -> list[Task]:
        """Those that waited for this one, whose network is kept."""
        more, config = [], self.config
        if config.repels and task.round == 0 and task.restart + 1 < config.restarts:
            others_RK = _with(task.others_RK, task.restart, theta_K)
            none_JK = self._none(config.rounds - 1)
            more.append(self._task(task.image, task.restart + 1, 0, none_JK, others_RK))
        if task.round + 1 < config.rounds:
            previous_JK = _with(task.previous_JK, task.round, theta_K)
            rest = previous_JK, task.others_RK
            more.append(self._task(task.image, task.restart, task.round + 1, *rest))
        return more

    def _task(
        self, image: int, restart: int, round_: int, previous_JK: Tensor, others_RK: Tensor
    ) -> Task:
        return Task(
            image=image,
            restart=restart,
            round=round_,
            seed=stable_seed(self.seed, self.ids[image], restart, round_),
            previous_JK=previous_JK,
            others_RK=others_RK,
        )

    def _none(self, count: int) -> Tensor:
        """Room for the parameters of so many networks."""
        return self.like.new_zeros(count, self.config.mask.network.parameter_count)


def _with(rows_RK: Tensor, row: int, theta_K: Tensor) -> Tensor:
    """A copy with one row set."""
    copy_RK = rows_RK.clone()
    copy_RK[row] = theta_K
    return copy_RK
