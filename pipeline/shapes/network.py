"""The embedded classifier: a small CNN for 128 x 128 images of shapes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.shapes.images import CLASSES, SIZE

MEAN = (0.5, 0.5, 0.5)  # of RGB in 0..1
STD = (0.25, 0.25, 0.25)
WEIGHTS = Path(__file__).with_name("weights.pt")
STAGES = ((3, 16, 2), (16, 32, 2), (32, 48, 2), (48, 64, 1), (64, 96, 2), (96, 96, 1))

__all__ = ["MEAN", "SIZE", "STD", "STAGES", "WEIGHTS", "ShapesNetwork", "load_shapes"]


class ShapesNetwork(nn.Module):
    """Normalised images (B, 3, 128, 128) to logits (B, 10).

    Each of STAGES (channels in, channels out, stride) is a 3 x 3 convolution, BatchNorm and SiLU,
    whose gradient, unlike ReLU's, has no steps for a mask to get stuck at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*(_stage(*stage) for stage in STAGES))
        self.head = nn.Linear(STAGES[-1][1], len(CLASSES))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        features_BDhw: Tensor = self.features(image_BCHW)
        logits_BK: Tensor = self.head(features_BDhw.mean((2, 3)))
        return logits_BK


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.SiLU(),
    )


def load_shapes(path: str | Path = WEIGHTS) -> ShapesNetwork:
    """The trained network: float32, `eval()`, frozen. `path` is a state dict in any precision."""
    network = ShapesNetwork()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)
