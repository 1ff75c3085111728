"""INR masks: pure tensor code. Tensors and configs in, tensors out; randomness is an argument."""

from inr_core.area import vecsort_penalty
from inr_core.explain import InrConfig, explain
from inr_core.explanation import Explanation
from inr_core.faithfulness import mask_scores, minimal_area, target_score
from inr_core.graph import replayed
from inr_core.mask import Canvas, MaskConfig, exact_mask, render
from inr_core.methods import METHODS, AnyConfig, Method
from inr_core.microbatch import MicroBatch
from inr_core.objective import ObjectiveConfig, log_kept, log_removed, outline_per_area
from inr_core.optimise import draw_levels
from inr_core.perturbation import PerturbationConfig, baselines, gaussian_blur, perturb
from inr_core.presets import PRESETS
from inr_core.scene import Classify, Scene
from inr_core.schedule import OptimiseConfig, Schedule
from inr_core.seeds import stable_seed
from inr_core.siren import SirenConfig, init_parameters, siren
from inr_core.slots import Networks, Slots
from inr_core.start import StartConfig

__all__ = [
    "METHODS",
    "PRESETS",
    "AnyConfig",
    "Canvas",
    "Classify",
    "Explanation",
    "InrConfig",
    "MaskConfig",
    "Method",
    "MicroBatch",
    "Networks",
    "ObjectiveConfig",
    "OptimiseConfig",
    "PerturbationConfig",
    "Scene",
    "Schedule",
    "SirenConfig",
    "Slots",
    "StartConfig",
    "baselines",
    "draw_levels",
    "exact_mask",
    "explain",
    "gaussian_blur",
    "init_parameters",
    "log_kept",
    "log_removed",
    "mask_scores",
    "minimal_area",
    "outline_per_area",
    "perturb",
    "render",
    "replayed",
    "siren",
    "stable_seed",
    "target_score",
    "vecsort_penalty",
]
