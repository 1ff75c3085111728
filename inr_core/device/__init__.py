"""The device: compiled functions, CUDA graphs, and how much a call of the classifier holds."""

from inr_core.device.exhaustion import is_out_of_memory
from inr_core.device.fallback import fallbacks
from inr_core.device.fused import fused
from inr_core.device.graph import CaptureFailed, replayed
from inr_core.device.microbatch import MicroBatch
