"""The game: what is shown to the classifier, and what a mask is worth."""

from inr_core.game.claim import (
    HEADS,
    Head,
    claimed,
    class_scores,
    log_kept,
    log_removed,
    target_score,
)
from inr_core.game.faithfulness import claims_kept, mask_scores
from inr_core.game.feature_map import FeatureMap, by_places
from inr_core.game.objective import ObjectiveConfig, final_objective, outline_per_area, rewards
from inr_core.game.perturbation import PerturbationConfig, baselines, gaussian_blur, perturb
from inr_core.game.scene import Classify, Scene, scenes
