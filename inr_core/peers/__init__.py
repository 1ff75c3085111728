"""Peer methods: other ways to find masks, run and scored like ours."""

from inr_core.peers.common import MasksOf, PeerConfig, Task, explain_by, ranked, unranked
from inr_core.peers.ep import EpConfig, ep_masks
from inr_core.peers.gradcam import GradcamConfig, check_gradcam, gradcam_map
from inr_core.peers.ig import IgConfig, check_ig, ig_map
from inr_core.peers.pixels import PixelsConfig, pixels_masks
from inr_core.peers.rise import RiseConfig, rise_map
from inr_core.peers.simple import CentreConfig, RandomConfig, centre_map, discs, random_map
from inr_core.peers.start import StartOnlyConfig, start_only_map
