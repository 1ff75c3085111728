"""The optimisation: where networks start, and how many of them move side by side."""

from inr_core.optimisation.evidence import (
    PathConfig,
    Source,
    class_activation,
    clues_of,
    enlarged,
    evidence,
    features_of,
    source_of,
)
from inr_core.optimisation.learned import (
    LearnedStart,
    cells_of,
    disagreement,
)
from inr_core.optimisation.networks import Networks
from inr_core.optimisation.optimise import Steps, draw_levels, optimise
from inr_core.optimisation.repulsion import Others
from inr_core.optimisation.schedule import OptimiseConfig, Schedule
from inr_core.optimisation.slots import Slots
from inr_core.optimisation.start import StartConfig, fitted_start
