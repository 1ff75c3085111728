"""INR masks: pure tensor code. Tensors and configs in, tensors out; randomness is an argument."""

from inr_core.config import InrConfig
from inr_core.device import CaptureFailed, MicroBatch, fallbacks, is_out_of_memory, replayed
from inr_core.explain import explain
from inr_core.explanation import Explanation
from inr_core.game import (
    HEADS,
    Classify,
    Head,
    ObjectiveConfig,
    PerturbationConfig,
    Scene,
    baselines,
    class_scores,
    gaussian_blur,
    log_kept,
    log_removed,
    mask_scores,
    outline_per_area,
    perturb,
    scenes,
    target_score,
)
from inr_core.masks import (
    Canvas,
    MaskConfig,
    SirenConfig,
    exact_mask,
    init_parameters,
    render,
    siren,
    vecsort_penalty,
)
from inr_core.methods import METHODS, AnyConfig, Method
from inr_core.optimisation import (
    LearnedStart,
    Networks,
    OptimiseConfig,
    Others,
    PathConfig,
    Schedule,
    Slots,
    StartConfig,
    cells_of,
    clues_of,
    disagreement,
    draw_levels,
)
from inr_core.presets import PRESETS
from inr_core.seeds import stable_seed
