"""Stacked SIRENs: N independent coordinate networks, conditioned on an area or not.

Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions", NeurIPS
2020; the conditioning on the area follows Byra and Skibbe, WACV 2025.

Shapes: N networks, A areas, P coordinates, D hidden width, K parameters of one network.
Coordinates are in [-1, 1], row first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SirenConfig:
    """Size and bandwidth of one network.

    The linear last layer has no bias: the area's threshold takes its part.

    hidden_width   units of every sine layer
    sine_layers    number of sine layers, the coordinate layer included
    w0_first       frequency factor of the coordinate layer; higher = finer masks
    w0_hidden      frequency factor of the other sine layers
    conditioned    whether the field depends on the area, as published; else one field serves all
                   areas, whose masks then lie within each other
    """

    hidden_width: int = 64
    sine_layers: int = 3
    w0_first: float = 5.0
    w0_hidden: float = 1.0
    conditioned: bool = True  # runs from before there was a choice are

    def __post_init__(self) -> None:
        if self.hidden_width < 1 or self.sine_layers < 1:
            raise ValueError(
                "hidden_width and sine_layers must be at least 1, got "
                f"{self.hidden_width} and {self.sine_layers}"
            )
        if self.w0_first <= 0 or self.w0_hidden <= 0:
            raise ValueError(
                f"w0_first and w0_hidden must be positive, got {self.w0_first}, {self.w0_hidden}"
            )

    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one network's weights, in the order in which they are stored."""
        width = self.hidden_width
        hidden = [(width, width), (1, width)] * (self.sine_layers - 1)
        condition = [(1, width)] if self.conditioned else []
        return [(2, width), (1, width), *condition, *hidden, (width, 1)]

    @property
    def parameter_count(self) -> int:
        """K, the number of weights of one network."""
        return sum(math.prod(shape) for shape in self.shapes())


def init_parameters(seed: int, config: SirenConfig) -> Tensor:
    """Draw one network's weights, (K,) float32, from `seed` alone.

    Coordinate layer: uniform in [-1/2, 1/2], times w0_first when evaluated. Hidden layers:
    uniform in +-sqrt(6 / D) / w0_hidden, which keeps the activations' distribution (SIREN,
    section 3.2).
    """
    generator = torch.Generator().manual_seed(seed)
    bound = math.sqrt(6 / config.hidden_width)
    bounds = [0.5] * (3 if config.conditioned else 2)
    bounds += [bound / config.w0_hidden, 0.0] * (config.sine_layers - 1) + [bound]
    draws = [
        (torch.rand(math.prod(shape), generator=generator) * 2 - 1) * b
        for shape, b in zip(config.shapes(), bounds, strict=True)
    ]
    return torch.cat(draws)


def unpack(theta_NK: Tensor, config: SirenConfig) -> list[Tensor]:
    """Views of the flat parameters as stacked weights, each (N, in, out)."""
    shapes = config.shapes()
    parts = torch.split_with_sizes(theta_NK, [math.prod(shape) for shape in shapes], dim=1)
    return [p.reshape(-1, *shape) for p, shape in zip(parts, shapes, strict=True)]


def siren(theta_NK: Tensor, coords_P2: Tensor, area_NA: Tensor, config: SirenConfig) -> Tensor:
    """Evaluate N networks at P coordinates for A areas each: the field, unbounded.

    (N, A, P); (N, 1, P), the same for all areas, of networks that are not conditioned.
    """
    first, shift, *others, last = unpack(theta_NK, config)
    wave_NAPD = config.w0_first * (coords_P2 @ first + shift)[:, None]
    if config.conditioned:
        area_weight, *others = others
        condition_NAD = (torch.logit(area_NA) / 2)[:, :, None] * area_weight
        wave_NAPD = wave_NAPD + condition_NAD[:, :, None]
    hidden = torch.sin(wave_NAPD).flatten(1, 2)
    for weight, bias in zip(others[::2], others[1::2], strict=True):
        hidden = torch.sin(config.w0_hidden * torch.baddbmm(bias, hidden, weight))
    field = (hidden * last.mT).sum(-1)
    return field.view(len(theta_NK), -1, len(coords_P2))
