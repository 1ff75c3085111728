"""The frozen classifier as it is called: weights folded, converted and laid out for speed."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.classifiers.compiled import Compiled
from pipeline.errors import describe

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PRECISION: dict[str, Precision] = {"cpu": "fp32", "cuda": "bf16"}  # by device, where none is given
PROBES = 2  # random images on which folded and unfolded logits are compared


class Frozen(nn.Module):
    """Images (M, 3, H, W) float32, normalised -> logits (M, K) float32; no weight has a gradient.

    Batch norms are folded into the convolutions before them, where the logits stay the same.
    bf16 converts the weights; a module that cannot be converted runs under autocast.

    side  of the images, in pixels
    """

    def __init__(
        self, module: nn.Module, side: int, device: torch.device, precision: Precision
    ) -> None:
        super().__init__()
        module = module.to(device)
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        if not isinstance(module, torch.fx.GraphModule):  # exported programs have no training mode
            module.eval()
            module = _folded(module, side).to(memory_format=torch.channels_last)
        self.device, self.dtype = device, DTYPES[precision]
        self.converted = precision == "fp32" or _converts(module, side)
        self.module = module.to(self.dtype) if self.converted else module
        self.side = side
        self.compiled: Compiled | None = None

    def forward(self, image_MCHW: Tensor) -> Tensor:
        """Logits (M, K)."""
        image_MCHW = image_MCHW.contiguous(memory_format=torch.channels_last)
        if self.compiled is None or self._is_watched():
            return self._plain(image_MCHW)
        return self.compiled(image_MCHW)

    def compile_for(self, images: int) -> str | None:
        """Have calls with so many images run compiled code; returns why they do not, else None."""
        if any(isinstance(m, torch.jit.ScriptModule) for m in self.modules()):
            return "TorchScript cannot be compiled again"
        noise = torch.randn(
            images, 3, self.side, self.side, generator=torch.Generator().manual_seed(0)
        )
        noise = noise.to(self.device).contiguous(memory_format=torch.channels_last)
        try:
            self.compiled = Compiled(self._plain, noise, self.dtype)
        except Exception as error:  # compilers have no common error, and need none to go on without
            return describe(getattr(error, "inner_exception", error))
        return None

    def _is_watched(self) -> bool:
        """Whether someone looks at the layers (Grad-CAM), which compiled code does not have."""
        return any(layer._forward_hooks for layer in self.modules())

    def _plain(self, image_MCHW: Tensor) -> Tensor:
        if self.converted:
            image_MCHW = image_MCHW.to(self.dtype)
        context = nullcontext() if self.converted else torch.autocast(self.device.type, self.dtype)
        with context:
            logits: Tensor = self.module(image_MCHW)
        return logits.float()


def _folded(module: nn.Module, side: int) -> nn.Module:
    """The module without its batch norms; as it was if it cannot be traced or would differ."""
    if isinstance(module, torch.jit.ScriptModule) or not any(
        isinstance(m, nn.BatchNorm2d) for m in module.modules()
    ):
        return module
    from torch.fx.experimental.optimization import fuse

    try:
        folded = fuse(module).eval()
        same = _agree(module, folded, side)
    except Exception:  # tracing has no common error: what cannot be traced is used as it is
        return module
    return folded if same else module


@torch.no_grad()
def _agree(module: nn.Module, other: nn.Module, side: int) -> bool:
    """Whether logits of random images are the same up to rounding."""
    noise = torch.randn(PROBES, 3, side, side, generator=torch.Generator().manual_seed(0))
    noise = noise.to(next(module.parameters()))
    one, two = module(noise), other(noise)
    return bool((one - two).abs().max() <= 1e-3 * one.abs().max())


@torch.no_grad()
def _converts(module: nn.Module, side: int) -> bool:
    """Whether the module, its weights in bfloat16, takes a bfloat16 image."""
    try:
        changed = copy.deepcopy(module).bfloat16()
        device = next(module.parameters()).device
        changed(torch.zeros(1, 3, side, side, device=device, dtype=torch.bfloat16))
    except Exception:  # whatever the user's model raises
        return False
    return True
