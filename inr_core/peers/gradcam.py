"""Grad-CAM: Selvaraju et al., "Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, on the last feature map that has places (of a transformer, on its tokens).

Shapes: B images, C channels of the feature map, h x w its places, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inr_core.game import FeatureMap, by_places
from inr_core.optimisation import class_activation, enlarged, features_of
from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class GradcamConfig(PeerConfig):
    """Grad-CAM has no settings of its own."""


def gradcam_map(task: Task, config: GradcamConfig) -> Tensor:
    """Bilinearly enlarged map, (B, H, W), >= 0; raises ValueError as `FeatureMap.of` does."""
    given = task.module, task.image_BCHW[:1]
    features = features_of(*given, task.microbatch) or FeatureMap.of(*given)

    def part(chosen: slice) -> Tensor:
        return cam(task.module, task.image_BCHW[chosen], task.target_B[chosen], features)

    return torch.cat(task.microbatch.run(part, len(task.image_BCHW), 1))


def cam(module: nn.Module, image_BCHW: Tensor, target_B: Tensor, features: FeatureMap) -> Tensor:
    """relu(sum_c w_c map_c), w_c the mean over places of the target logit's gradient: (B, H, W)."""
    logits, output = features.look(module, image_BCHW.detach().requires_grad_())
    (slope,) = torch.autograd.grad(logits.gather(1, target_B[:, None]).sum(), output)
    map_BChw = by_places(output.detach(), image_BCHW)
    return enlarged(class_activation(map_BChw, by_places(slope, image_BCHW)).relu(), image_BCHW)


def check_gradcam(module: nn.Module, image_1CHW: Tensor) -> None:
    """Raise ValueError if the module has no feature map that Grad-CAM can use."""
    FeatureMap.of(module, image_1CHW)
