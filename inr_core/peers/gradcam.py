"""Grad-CAM: Selvaraju et al., "Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, on the last feature map that has places.

Shapes: B images, C channels of the feature map, h x w its places, H, W.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from inr_core.peers.common import PeerConfig, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class GradcamConfig(PeerConfig):
    """Grad-CAM has no settings of its own."""


def gradcam_map(task: Task, config: GradcamConfig) -> Tensor:
    """Bilinearly enlarged map, (B, H, W), >= 0; raises ValueError as `last_feature_map` does."""

    def part(chosen: slice) -> Tensor:
        return cam(task.module, task.image_BCHW[chosen], task.target_B[chosen])

    return torch.cat(task.microbatch.run(part, len(task.image_BCHW), 1))


def cam(module: nn.Module, image_BCHW: Tensor, target_B: Tensor) -> Tensor:
    """relu(sum_c w_c map_c), w_c the mean over places of the target logit's gradient: (B, H, W)."""
    logits, map_BChw = last_feature_map(module, image_BCHW)
    chosen = logits.gather(1, target_B[:, None]).sum()
    (gradient_BChw,) = torch.autograd.grad(chosen, map_BChw)
    weight_BC11 = gradient_BChw.mean((2, 3), keepdim=True)
    cam_B1hw = (weight_BC11 * map_BChw.detach()).sum(1, keepdim=True).relu()
    size = (image_BCHW.shape[2], image_BCHW.shape[3])
    return functional.interpolate(cam_B1hw, size, mode="bilinear", align_corners=False)[:, 0]


def check_gradcam(module: nn.Module, image_1CHW: Tensor) -> None:
    """Raise ValueError if the module has no feature map that Grad-CAM can use."""
    last_feature_map(module, image_1CHW)


def last_feature_map(module: nn.Module, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the last output (B, C, h, w) of any layer with more than one place.

    Raises ValueError where there is none, or where layers after it work on sequences of tokens.
    """
    with _outputs_of_layers(module) as outputs:
        logits = module(image_BCHW.detach().requires_grad_())
    found = outputs[-1] if outputs else None
    if found is None or found.ndim != 4:
        raise ValueError(
            "the classifier has no layer that gives a last feature map (images, "
            "channels, height, width), as in vision transformers and exported or scripted models; "
            "use a convolutional model, or a method that needs no layer, for example inr"
        )
    return logits, _channels_first(found, image_BCHW)


def _channels_first(found: Tensor, image_BCHW: Tensor) -> Tensor:
    """A map (B, h, w, C), as of Swin, as (B, C, h, w): its places are in the image's proportion."""
    height, width = image_BCHW.shape[2:]
    first, second, third = found.shape[1:]
    if second * width != third * height and first * width == second * height:
        return found.movedim(3, 1)
    return found


@contextmanager
def _outputs_of_layers(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collects, in forward order, the last map (4-D) or sequence (3-D) with more than one place."""
    last: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad and _places(output) > 1:
            last[:] = [output]  # the last one only: the others need not stay in memory

    layers = [m for m in module.modules() if not isinstance(m, torch.jit.ScriptModule)]
    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield last
    finally:
        for handle in handles:
            handle.remove()


def _places(output: Tensor) -> int:
    if output.ndim == 4:
        return output.shape[2] * output.shape[3]
    return output.shape[1] if output.ndim == 3 else 0
