"""What networks look at, and the game they play on it with the classifier.

Shapes: N networks, A masks of each, S sides of the game, L baselines, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.game.claim import Head, log_kept
from inr_core.game.objective import ObjectiveConfig, rewards
from inr_core.game.perturbation import PerturbationConfig, baselines, perturb
from inr_core.game.reveal import reveal

Classify = Callable[[Tensor], Tensor]  # (M, C, H, W) -> logits (M, K)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The images of N networks.

    image_NCHW, baseline_NLCHW  the image of each network and its perturbed versions
    target_N                    class index explained
    contrast_N                  class index that it is held against; None: against all others
    head                        of the classifier
    """

    image_NCHW: Tensor
    baseline_NLCHW: Tensor
    target_N: Tensor
    pyramid: bool
    contrast_N: Tensor | None = None
    head: Head = "softmax"

    def map(self, change: Callable[[Tensor], Tensor]) -> Scene:
        """With every tensor changed alike."""
        return replace(
            self,
            image_NCHW=change(self.image_NCHW),
            baseline_NLCHW=change(self.baseline_NLCHW),
            target_N=change(self.target_N),
            contrast_N=None if self.contrast_N is None else change(self.contrast_N),
        )

    def tensors(self) -> list[Tensor]:
        """All of them, networks first."""
        given = [self.image_NCHW, self.baseline_NLCHW, self.target_N]
        return given if self.contrast_N is None else [*given, self.contrast_N]

    def shown_in(self, dtype: torch.dtype) -> Scene:
        """With images in this precision, for `play` on a GPU."""
        image, baseline = self.image_NCHW.to(dtype), self.baseline_NLCHW.to(dtype)
        return replace(self, image_NCHW=image, baseline_NLCHW=baseline)

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
        self, mask_NAhw: Tensor, level_NA: Tensor, classify: Classify, objective: ObjectiveConfig
    ) -> Tensor:
        """Reward of the masks in the game, (N,), mean over areas; 0 is the highest.

        mask_NAhw  of the images' size, or coarse: interpolated to it then
        One call of the classifier: of every network the kept images, then those with the mask
        removed.
        """
        return self.rewards(classify(self.seen(mask_NAhw, level_NA, objective)), objective)

    def rewards(
        self, logits_MK: Tensor, objective: ObjectiveConfig, *, bounded: bool = False
    ) -> Tensor:
        """See `objective.rewards`, (N,)."""
        return rewards(
            logits_MK, self.target_N, objective, self.head, self.contrast_N, bounded=bounded
        )

    def log_kept(self, logits_MK: Tensor, each: int) -> Tensor:
        """See `claim.log_kept`, (N * each,), of so many images of every network."""
        contrast_N = self.contrast_N
        return log_kept(
            logits_MK,
            self.target_N.repeat_interleave(each),
            self.head,
            None if contrast_N is None else contrast_N.repeat_interleave(each),
        )

    def seen(self, mask_NAhw: Tensor, level_NA: Tensor, objective: ObjectiveConfig) -> Tensor:
        """What the classifier is shown in the game, (N * S * A, C, H, W), masks as in `play`."""
        sides = (objective.keeps, objective.removes)
        if mask_NAhw.device.type != "cpu" and not self.pyramid:
            return reveal(mask_NAhw, self.image_NCHW, self.baseline_NLCHW, level_NA, sides)
        full, size = mask_NAhw, self.image_NCHW.shape[-2:]
        if full.shape[-2:] != size:
            full = functional.interpolate(full, size, mode="bilinear", align_corners=False)
        chosen = [full] * sides[0] + [1 - full] * sides[1]
        return self.shown(torch.cat(chosen, 1), level_NA.repeat(1, len(chosen)))


def scenes(
    image_BCHW: Tensor,
    target_B: Tensor,
    perturbation: PerturbationConfig,
    custom_baseline: Tensor | None,
    size: int,
    *,
    head: Head = "softmax",
    contrast_B: Tensor | None = None,
) -> Iterator[tuple[Scene, slice]]:
    """Images with their baselines, at most `size` at a time, and which of the images they are.

    custom_baseline  (C, H, W) for all, or (B, C, H, W)
    contrast_B       see `Scene`
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
            contrast_N=None if contrast_B is None else contrast_B[part],
            head=head,
        )
        yield scene, part
