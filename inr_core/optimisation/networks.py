"""Networks to be optimised side by side, and what each of them looks at.

Shapes: N networks, S steps of the schedule, A areas a step, K parameters, J earlier rounds, L
baselines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inr_core.game import Scene
from inr_core.optimisation.repulsion import Others


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Networks to be optimised, and what each of them needs.

    theta_NK      parameters
    round_N       round of each, from 0
    previous_NJK  parameters of the earlier rounds, as many as the last round has; see `occupied`
    others        the earlier restarts that each is to keep away from
    level_NSA     which baseline each mask of each step meets, in 0..L-1
    scene         what they look at
    """

    theta_NK: Tensor
    round_N: Tensor
    previous_NJK: Tensor
    others: Others
    level_NSA: Tensor
    scene: Scene

    def __len__(self) -> int:
        return len(self.theta_NK)

    def map(self, change: Callable[[Tensor], Tensor]) -> Networks:
        """With every tensor changed alike."""
        return Networks(
            theta_NK=change(self.theta_NK),
            round_N=change(self.round_N),
            previous_NJK=change(self.previous_NJK),
            others=self.others.map(change),
            level_NSA=change(self.level_NSA),
            scene=self.scene.map(change),
        )

    def of(self, chosen: list[int]) -> Networks:
        """Copies of some of them."""
        return self.map(lambda tensor: tensor[chosen])

    def shown_in(self, dtype: torch.dtype) -> Networks:
        """With images in this precision."""
        return replace(self, scene=self.scene.shown_in(dtype))

    def shapes(self) -> tuple[torch.Size | torch.dtype | bool | str, ...]:
        """Of the tensors of one network, and what else decides how a step is done."""
        shapes = [tensor.shape[1:] for tensor in self.tensors()]
        return (*shapes, self.theta_NK.dtype, self.scene.pyramid, self.scene.head)

    def tensors(self) -> list[Tensor]:
        """All of them, networks first."""
        earlier = [self.previous_NJK, self.others.theta_NRK, self.others.count_N]
        own = [self.theta_NK, self.round_N, *earlier, self.level_NSA]
        return [*own, *self.scene.tensors()]
