"""What networks look at, and the game they play on it with the classifier.

Shapes: N networks, A masks of each, L baselines, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.game.objective import ObjectiveConfig, log_kept, log_removed
from inr_core.game.perturbation import PerturbationConfig, baselines, perturb

Classify = Callable[[Tensor], Tensor]  # (M, C, H, W) -> logits (M, K)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The images of N networks.

    image_NCHW, baseline_NLCHW  the image of each network and its perturbed versions
    target_N                    class index explained
    """

    image_NCHW: Tensor
    baseline_NLCHW: Tensor
    target_N: Tensor
    pyramid: bool

    def map(self, change: Callable[[Tensor], Tensor]) -> Scene:
        """With every tensor changed alike."""
        return Scene(
            image_NCHW=change(self.image_NCHW),
            baseline_NLCHW=change(self.baseline_NLCHW),
            target_N=change(self.target_N),
            pyramid=self.pyramid,
        )

    def of(self, networks: list[int] | slice) -> Scene:
        """The same for some of the networks."""
        return self.map(lambda tensor: tensor[networks])

    def shown(self, mask_NAHW: Tensor, level_NA: Tensor) -> Tensor:
        """The images behind their masks, (N * A, C, H, W)."""
        perturbed = perturb(
            self.image_NCHW, self.baseline_NLCHW, mask_NAHW, level_NA, pyramid=self.pyramid
        )
        return perturbed.flatten(0, 1)

    def play(
        self, mask_NAHW: Tensor, level_NA: Tensor, classify: Classify, objective: ObjectiveConfig
    ) -> Tensor:
        """Reward of the masks in the game, (N,), mean over areas; 0 is the highest.

        One call of the classifier: of every network the kept images, then those with the mask
        removed.
        """
        sides = [mask_NAHW] * objective.keeps + [1 - mask_NAHW] * objective.removes
        n, count = mask_NAHW.shape[0], mask_NAHW.shape[1]
        logits = classify(self.shown(torch.cat(sides, 1), level_NA.repeat(1, len(sides))))
        target = self.target_N.repeat_interleave(len(sides) * count)
        reward_NA = logits.new_zeros(n, count)
        if objective.keeps:
            reward_NA = reward_NA + log_kept(logits, target).view(n, -1)[:, :count]
        if objective.removes:
            weight = objective.deletion_weight if objective.keeps else 1.0
            reward_NA = reward_NA + weight * log_removed(logits, target).view(n, -1)[:, -count:]
        return reward_NA.mean(1)


def scenes(
    image_BCHW: Tensor,
    target_B: Tensor,
    perturbation: PerturbationConfig,
    custom_baseline: Tensor | None,
    size: int,
) -> Iterator[tuple[Scene, slice]]:
    """Images with their baselines, at most `size` at a time, and which of the images they are.

    custom_baseline  (C, H, W) for all, or (B, C, H, W)
    """
    if custom_baseline is not None:
        custom_baseline = custom_baseline.to(image_BCHW).expand_as(image_BCHW)
    for start in range(0, len(image_BCHW), size):
        part = slice(start, start + size)
        own = None if custom_baseline is None else custom_baseline[part]
        scene = Scene(
            image_NCHW=image_BCHW[part],
            baseline_NLCHW=baselines(image_BCHW[part], perturbation, own),
            target_N=target_B[part],
            pyramid=perturbation.kind == "pyramid",
        )
        yield scene, part
