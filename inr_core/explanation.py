"""What every method returns for an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One set of masks, and the network that they were rendered from where there is one.

    parameters  (K,) float16, CPU; None for methods without networks
    masks       (A, H, W) uint8, CPU, 255 = keep
    kept        score of the target with only the mask kept, one per area
    removed     the same with the mask removed
    hard_kept, hard_removed  the same of hard masks: the top a of the pixels, edges feathered
    contrast_kept, contrast_removed  of the class that the target is held against, if any
    hard_claims  how far the claim holds with only a hard mask kept (`inr_core.game.claim.claimed`)
    objective   of the hard masks, in [0, 1], higher is better
    minimal_area  smallest area whose hard mask keeps 90 % of the claim, None if none does
    ranking     (H, W) uint8, CPU, 255 = first, each value as often as any other; None for methods
                that do not rank pixels
    """

    restart: int
    round: int
    seed: int
    best: bool
    objective: float
    steps: int
    minimal_area: float | None
    parameters: Tensor | None
    areas: tuple[float, ...]
    masks: Tensor
    kept: tuple[float, ...]
    removed: tuple[float, ...]
    hard_kept: tuple[float, ...]
    hard_removed: tuple[float, ...]
    hard_claims: tuple[float, ...]
    contrast_kept: tuple[float, ...] | None = None
    contrast_removed: tuple[float, ...] | None = None
    ranking: Tensor | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """All scores of its masks."""
        more = (self.contrast_kept or ()) + (self.contrast_removed or ()) + self.hard_claims
        return self.kept + self.removed + self.hard_kept + self.hard_removed + more
