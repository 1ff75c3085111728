"""Named configurations."""

from __future__ import annotations

from inr_core.config import InrConfig
from inr_core.game import ObjectiveConfig, PerturbationConfig
from inr_core.masks import MaskConfig, SirenConfig
from inr_core.optimisation import OptimiseConfig, StartConfig

PRESETS = {
    "default": InrConfig(),
    # 40 passes an image instead of 128. Few steps need the outline's weight lower, and a rate at
    # which they do not lose what the start knows.
    "fast": InrConfig(
        objective=ObjectiveConfig(outline_weight=0.4),
        optimise=OptimiseConfig(steps=8, learning_rate=0.005, warmup=2),
    ),
    # 816 passes an image: what more passes buy.
    "best": InrConfig(
        start=StartConfig(passes=16), optimise=OptimiseConfig(steps=100, areas_per_step=4)
    ),
    # The published formulation: preservation game, blurred baseline, plain sigmoid, vecsort
    # penalty. The paper's sizes and rates are not public; these are ours.
    "paper": InrConfig(
        mask=MaskConfig(
            network=SirenConfig(w0_first=8.0, sine_layers=4),
            area="vecsort",
            temperature=1.0,
            points=None,
        ),
        start=StartConfig(kind="random"),
        perturbation=PerturbationConfig(kind="blur"),
        objective=ObjectiveConfig(
            game="preservation", area_weight=30.0, outline_weight=0.0, repel_weight=0.0
        ),
        optimise=OptimiseConfig(
            steps=300, areas_per_step=4, learning_rate=0.01, temperature_start=1.0
        ),
    ),
}
