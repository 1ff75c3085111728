"""The device: compiled functions, CUDA graphs, and how much a call of the classifier holds."""

from inr_core.device.fused import fused
from inr_core.device.graph import replayed
from inr_core.device.microbatch import MicroBatch
