"""The start alone: the smoothed path gradients at which our networks begin, without any step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from inr_core.optimisation import PathConfig, start_map
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOnlyConfig(PeerConfig):
    """Path and smoothing."""

    start: PathConfig = field(default_factory=PathConfig)


def start_only_map(task: Task, config: StartOnlyConfig) -> Tensor:
    """Smoothed path gradients of the target's log score, (B, H, W), signed."""
    whole_BHW = torch.ones_like(task.image_BCHW[:, 0])
    return start_map(task.scene, whole_BHW, task.classify, config.start, task.microbatch)
