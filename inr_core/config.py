"""Everything that decides the masks of an image, but the image, the classifier and the seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inr_core.game import ObjectiveConfig, PerturbationConfig
from inr_core.masks import MaskConfig, check_areas
from inr_core.optimisation import OptimiseConfig, StartConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class InrConfig:
    """Everything that decides the masks of an image, but the image, the classifier and the seed.

    areas       areas whose masks are stored, fractions of the classifier's input
    restarts    alternative explanations, each of which may use the whole image; with
                `objective.repel_weight` one after the other, away from the earlier ones. All are
                kept; of the best, in the first round, all rounds are marked
    rounds      at most so many non-overlapping explanations one after the other
    round_score a round ends its chain (and is not kept) when no hard mask keeps this share of the
                image's score; the first round is always kept
    """

    areas: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    restarts: int = 1
    rounds: int = 1
    round_score: float = 0.5
    mask: MaskConfig = field(default_factory=MaskConfig)
    start: StartConfig = field(default_factory=StartConfig)
    perturbation: PerturbationConfig = field(default_factory=PerturbationConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimise: OptimiseConfig = field(default_factory=OptimiseConfig)

    def __post_init__(self) -> None:
        check_areas(self.areas)
        if self.restarts < 1 or self.rounds < 1:
            raise ValueError(
                f"restarts and rounds must be at least 1, got {self.restarts}, {self.rounds}"
            )
        last = self.mask.largest_area(self.rounds - 1)
        if self.areas[0] > last:
            raise ValueError(
                f"rounds={self.rounds} leaves at most an area of {last:.3f} to the last round, "
                f"but the smallest of areas is {self.areas[0]}"
            )

    @property
    def repels(self) -> bool:
        """Whether a restart keeps away from the earlier ones, and so begins after them."""
        return self.restarts > 1 and self.objective.repel_weight > 0

    def settled(self) -> InrConfig:
        """The same with the game that `auto` stands for."""
        several = self.rounds > 1 or self.repels
        return replace(self, objective=self.objective.settled(several))

    def areas_of_round(self, round_: int) -> tuple[float, ...]:
        """The areas for which earlier rounds leave enough of the image."""
        return tuple(a for a in self.areas if a <= self.mask.largest_area(round_))
