"""The start alone: the evidence at which our networks begin, without any step."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from inr_core.optimisation import PathConfig
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOnlyConfig(PeerConfig):
    """Path and smoothing."""

    start: PathConfig = field(default_factory=PathConfig)


def start_only_map(task: Task, config: StartOnlyConfig) -> Tensor:
    """Evidence of the class, (B, H, W)."""
    return task.evidence(config.start)
