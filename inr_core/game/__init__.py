"""The game: what is shown to the classifier, and what a mask is worth."""

from inr_core.game.faithfulness import mask_scores, minimal_area, target_score
from inr_core.game.objective import (
    ObjectiveConfig,
    final_objective,
    log_kept,
    log_removed,
    outline_per_area,
    rewards,
)
from inr_core.game.perturbation import PerturbationConfig, baselines, gaussian_blur, perturb
from inr_core.game.scene import Classify, Scene, scenes
