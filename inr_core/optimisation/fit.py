"""Networks fitted to a map, whatever the area.

Shapes: N networks, S steps, A areas a step, P cells of the coarse grid, K parameters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inr_core.device import replayed
from inr_core.masks import Canvas, SirenConfig, area_sequence, siren, standardise
from inr_core.optimisation.adam import Adam

AREAS = 2  # of a step; all are fitted to the same map
RATE = 0.02  # learning rate, with cosine decay


def fit(
    theta_NK: Tensor,
    target_N1P: Tensor,
    weight_N1P: Tensor,
    areas: tuple[float, float],
    canvas: Canvas,
    network: SirenConfig,
    steps: int,
    *,
    record: bool = True,
) -> Tensor:
    """Parameters (N, K): least squares between the standardised field and the target.

    theta_NK    where the fit begins
    target_N1P  standardised like the field, with the weights of the cells
    areas       (lowest, highest) at which the field is fitted
    record      whether a step becomes a CUDA graph on a GPU
    """
    theta = theta_NK.clone()
    # A clock of shape (1,): indexing by one of shape () would wait for its value.
    adam, clock = Adam(theta), torch.zeros(1, dtype=torch.long, device=theta.device)
    area_SA = area_sequence(steps, AREAS, *areas).to(theta)
    rates = [RATE * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    rate_S = theta.new_tensor(rates)

    def step() -> None:
        moved = theta.detach().requires_grad_()
        index = clock.clamp(max=steps - 1)
        field = siren(moved, canvas.points_Q2, area_SA[index].expand(len(theta), -1), network)
        error = (standardise(field, weight_N1P.expand_as(field)) - target_N1P).square()
        (gradient_NK,) = torch.autograd.grad((weight_N1P * error).sum(), moved)
        adam.update(theta, gradient_NK, rate_S[index].expand(len(theta), 1))
        clock.add_(1)

    advance = replayed(step, theta.device) if record else step
    theta.copy_(theta_NK)  # recording has moved it
    adam.forget()
    clock.zero_()
    for _ in range(steps):
        advance()
    return theta
