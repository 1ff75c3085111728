"""Peer methods: other ways to find masks, run and scored like ours."""

from inr_core.peers.common import PeerConfig
from inr_core.peers.ep import EpConfig
from inr_core.peers.gradcam import GradcamConfig
from inr_core.peers.ig import IgConfig
from inr_core.peers.pixels import PixelsConfig
from inr_core.peers.rise import RiseConfig
from inr_core.peers.simple import CentreConfig, RandomConfig

__all__ = [
    "CentreConfig",
    "EpConfig",
    "GradcamConfig",
    "IgConfig",
    "PeerConfig",
    "PixelsConfig",
    "RandomConfig",
    "RiseConfig",
]
