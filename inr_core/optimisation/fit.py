"""Networks fitted to a map each, whatever the area.

Shapes: M networks fitted side by side, N of them in use, R rounds, S steps, A areas a step, P cells
of the coarse grid, K parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inr_core.device import fused, replayed
from inr_core.masks import Canvas, SirenConfig, area_sequence, siren, standardise
from inr_core.optimisation.adam import Adam

AREAS = 2  # of a step; all are fitted to the same map
RATE = 0.02  # learning rate, with cosine decay


class Fit:
    """Least squares between standardised fields and maps.

    count      M; fewer networks may be fitted, which costs as much
    like_K     of the size and precision of a network's parameters, and on their device
    areas      (lowest, highest) at which fields are fitted, for each round
    record     whether a step becomes a CUDA graph on a GPU
    """

    def __init__(
        self,
        count: int,
        like_K: Tensor,
        areas: Sequence[tuple[float, float]],
        canvas: Canvas,
        network: SirenConfig,
        steps: int,
        *,
        record: bool = True,
    ) -> None:
        self.canvas, self.network, self.steps = canvas, network, steps
        self.theta_MK = like_K.repeat(count, 1)
        self.adam = Adam(self.theta_MK)
        self.target_M1P = like_K.new_zeros(count, 1, len(canvas.weight_P))
        self.weight_M1P = torch.ones_like(self.target_M1P)
        self.round_M = torch.zeros(count, dtype=torch.long, device=like_K.device)
        # A clock of shape (1,): indexing by one of shape () would wait for its value.
        self.clock = torch.zeros(1, dtype=torch.long, device=like_K.device)
        area_RSA = torch.stack([area_sequence(steps, AREAS, *ends) for ends in areas])
        self.area_RSA = area_RSA.to(like_K)
        rates = [RATE * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
        self.rate_S = like_K.new_tensor(rates)
        self.replay = replayed(self._step, like_K.device) if record and steps else None

    def __call__(
        self, theta_NK: Tensor, target_N1P: Tensor, weight_N1P: Tensor, round_N: Tensor
    ) -> Tensor:
        """Parameters (N, K), N at most `count`.

        theta_NK    where each fit begins
        target_N1P  standardised like the field, with the weights of the cells
        """
        used = slice(len(target_N1P))
        for own, given in (
            (self.theta_MK, theta_NK),
            (self.target_M1P, target_N1P),
            (self.weight_M1P, weight_N1P),
            (self.round_M, round_N),
        ):
            own[used] = given
        self.adam.forget()
        self.clock.zero_()
        for _ in range(self.steps):
            (self.replay or self._step)()
        return self.theta_MK[used].clone()

    def _step(self) -> None:
        index = self.clock.clamp(max=self.steps - 1)
        moved = self.theta_MK.detach().requires_grad_()
        area_MA = self.area_RSA[self.round_M, index]
        error = squared_error(
            moved,
            area_MA,
            self.target_M1P,
            self.weight_M1P,
            self.canvas.points_Q2,
            self.network,
        )
        (gradient_MK,) = torch.autograd.grad(error, moved)
        self.adam.update(self.theta_MK, gradient_MK, self.rate_S[index].expand(len(moved), 1))
        self.clock.add_(1)


@fused
def squared_error(
    theta_MK: Tensor,
    area_MA: Tensor,
    target_M1P: Tensor,
    weight_M1P: Tensor,
    points_Q2: Tensor,
    network: SirenConfig,
) -> Tensor:
    """Weighted squares between the standardised fields and the targets, summed over everything."""
    field = siren(theta_MK, points_Q2, area_MA, network)
    error = (standardise(field, weight_M1P.expand_as(field)) - target_M1P).square()
    return (weight_M1P * error).sum()
