"""Adam for stacked networks that are at different steps.

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015; torch's own has one step
counter for all of a tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core.device import fused

DECAY = (0.9, 0.999)  # of the mean gradient and of the mean squared gradient
EPSILON = 1e-8


class Adam:
    """Moments of N networks, (N, K), and how many updates each has had, (N, 1)."""

    def __init__(self, theta_NK: Tensor) -> None:
        self.first_NK = torch.zeros_like(theta_NK)
        self.second_NK = torch.zeros_like(theta_NK)
        self.updates_N1 = theta_NK.new_zeros(len(theta_NK), 1)

    def forget(self, networks: list[int] | slice = slice(None)) -> None:
        """Begin anew for these networks."""
        for moment in (self.first_NK, self.second_NK, self.updates_N1):
            moment[networks] = 0

    def update(self, theta_NK: Tensor, gradient_NK: Tensor, rate_N1: Tensor) -> None:
        """Move `theta_NK` in place, against the gradient; where the rate is 0 it stays."""
        move(theta_NK, gradient_NK, rate_N1, self.first_NK, self.second_NK, self.updates_N1)


@fused
def move(
    theta_NK: Tensor,
    gradient_NK: Tensor,
    rate_N1: Tensor,
    first_NK: Tensor,
    second_NK: Tensor,
    updates_N1: Tensor,
) -> None:
    """Update all but the gradient and the rate in place."""
    updates_N1.add_(1)
    first_NK.lerp_(gradient_NK, 1 - DECAY[0])
    second_NK.mul_(DECAY[1]).addcmul_(gradient_NK, gradient_NK, value=1 - DECAY[1])
    first = first_NK / (1 - DECAY[0] ** updates_N1)
    second = second_NK / (1 - DECAY[1] ** updates_N1)
    theta_NK.sub_(rate_N1 * first / (second.sqrt() + EPSILON))
