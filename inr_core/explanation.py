"""What every method returns for an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One set of masks, and the network that they were rendered from where there is one.

    parameters  (K,) float16, CPU; None for methods without networks
    masks       (A, H, W) uint8, CPU, 255 = keep
    kept        softmax score of the target with only the mask kept, one per area
    removed     the same with the mask removed
    objective   in [0, 1], higher is better
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
