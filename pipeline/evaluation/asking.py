"""A classifier that is asked about many images, in calls that suit its device."""

from __future__ import annotations

import torch
from torch import Tensor

from inr_core import (
    MicroBatch,
    PerturbationConfig,
    Scene,
    baselines,
    metrics,
    perturb,
    target_score,
)
from pipeline.results import Model

BLUR = PerturbationConfig()
MADE = {"cpu": 32, "cuda": 256}  # images that are made at once to be shown
SHOWN = {"cpu": 8, "cuda": 256}  # of them at once: on a CPU, few stay in its caches


class Asked:
    """Scores images and what masks leave of them."""

    def __init__(self, model: Model, device: str) -> None:
        self.classifier = model.load(device)
        self.microbatch = MicroBatch(MADE[device])
        self._at_once = SHOWN[device]

    def __call__(self, image_MCHW: Tensor) -> Tensor:
        """Logits, (M, K)."""
        starts = range(0, len(image_MCHW), self._at_once)
        parts = (image_MCHW[start : start + self._at_once] for start in starts)
        return torch.cat([self.classifier.classify(part) for part in parts])

    @torch.no_grad()
    def scores(self, mask_NAHW: Tensor, scene: Scene) -> metrics.MaskScores:
        """Of masks as they are."""
        return metrics.score_masks(mask_NAHW, scene, self, self.microbatch)

    def scores_of_regions(
        self, hard_NAHW: Tensor, image_NCHW: Tensor, target_N: Tensor
    ) -> metrics.MaskScores:
        """Of hard masks (bool) with feathered edges, the rest blurred."""
        shown = metrics.feathered(hard_NAHW.float())
        return self.scores(shown, self.scene(image_NCHW, target_N, BLUR))

    @torch.no_grad()
    def scores_over(
        self, baseline_NACHW: Tensor, mask_NAHW: Tensor, image_NCHW: Tensor, target_N: Tensor
    ) -> Tensor:
        """Of what masks keep, each over a baseline of its own: (N, A)."""
        own_NA = torch.arange(mask_NAHW.shape[1], device=target_N.device).expand(
            mask_NAHW.shape[:2]
        )
        shown = perturb(image_NCHW, baseline_NACHW, mask_NAHW, own_NA).flatten(0, 1)
        target = target_N.repeat_interleave(mask_NAHW.shape[1])
        return target_score(self(shown), target, self.classifier.head).view(own_NA.shape)

    def scene(self, image_NCHW: Tensor, target_N: Tensor, config: PerturbationConfig) -> Scene:
        """Images with what replaces them outside a mask."""
        return Scene(
            image_NCHW=image_NCHW,
            baseline_NLCHW=baselines(image_NCHW, config),
            target_N=target_N,
            pyramid=False,
            head=self.classifier.head,
        )
