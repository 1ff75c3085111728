"""Integrated gradients: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML
2017, computed by Captum, from the strongest baseline to the image.

The map is the signed sum of the attributions over the channels, smoothed as our own path gradients
are (`inr_core.optimisation.PathConfig`): single pixels alternate in sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inr_core.game import gaussian_blur
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class IgConfig(PeerConfig):
    """Path and smoothing.

    steps      places on the path at which the gradient is taken (Gauss-Legendre)
    smoothing  standard deviation of the Gaussian, a fraction of the shorter side (20 of 224 pixels)
    """

    steps: int = 50
    smoothing: float = 20 / 224

    def __post_init__(self) -> None:
        PeerConfig.__post_init__(self)
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.smoothing <= 0:
            raise ValueError(f"smoothing must be positive, got {self.smoothing}")


def ig_map(task: Task, config: IgConfig) -> Tensor:
    """Smoothed attribution of every pixel, (B, H, W), signed."""
    map_BHW = attributions(task, config.steps).sum(1)
    sigma = config.smoothing * min(map_BHW.shape[1:])
    return gaussian_blur(map_BHW[:, None], sigma)[:, 0]


def attributions(task: Task, steps: int) -> Tensor:
    """Integrated gradients of the target's logit, (B, C, H, W).

    Over an image they sum to the logit's difference between the image and the baseline.
    """
    method = _captum()(task.classify)

    def part(chosen: slice) -> Tensor:
        image = task.image_BCHW[chosen]
        found: Tensor = method.attribute(
            image,
            baselines=task.strongest_BCHW[chosen],
            target=task.target_B[chosen],
            n_steps=steps,
            internal_batch_size=len(image),  # one place on the path after the other
        )
        return found.detach().to(image)

    return torch.cat(task.microbatch.run(part, len(task.image_BCHW), 1))


def check_ig(module: nn.Module, image_1CHW: Tensor) -> None:
    """Raise ValueError if Captum is not installed."""
    _captum()


def _captum() -> Any:
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ValueError(
            'integrated gradients need Captum: pip install "xaipipe[peers]"'
        ) from error
    return IntegratedGradients
