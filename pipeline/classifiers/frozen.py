"""The frozen classifier as it is called: weights folded, converted and laid out for speed."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from inr_core import is_out_of_memory
from pipeline.classifiers.compiled import Compiled, Sizes, reason_of
from pipeline.classifiers.exported import is_program
from pipeline.errors import describe

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PRECISION: dict[str, Precision] = {"cpu": "fp32", "cuda": "bf16"}  # by device, where none is given
PROBES = 2  # random images on which folded and unfolded logits are compared
Shape = tuple[int, int, int]
SAME = 1e-9  # of the largest logit, in float64


class Frozen(nn.Module):
    """Images (M, C, H, W) float32, normalised -> logits (M, K) float32; no weight has a gradient.

    Calls of those who look at a layer's output (the start, Grad-CAM) run plainly, not compiled.

    Batch norms are folded into the convolutions before them, where the logits stay the same.
    bf16 converts the weights; a module that cannot be converted runs under autocast.

    shape  of an image, (C, H, W)
    """

    def __init__(
        self,
        module: nn.Module,
        shape: Shape,
        device: torch.device,
        precision: Precision,
    ) -> None:
        super().__init__()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        self.unfolded: str | None = None
        if not is_program(module):
            module, self.unfolded = _folded(module.eval(), shape)
            module = module.to(memory_format=torch.channels_last)
        module = module.to(device)
        self.device, self.dtype = device, DTYPES[precision]
        self.converted = precision == "fp32" or _converts(module, shape)
        self.module = module.to(self.dtype) if self.converted else module
        self.shape = shape
        self.compiled: Compiled | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was given up, and why."""
        folding = () if self.unfolded is None else (self.unfolded,)
        return (*folding, *(self.compiled.notes if self.compiled else ()))

    @property
    def shown(self) -> torch.dtype | None:
        """Of images as the module takes them, where that is not float32."""
        return self.dtype if self.converted and self.dtype != torch.float32 else None

    @property
    def eager(self) -> int:
        """Calls that did not run compiled code although there is some."""
        return self.compiled.eager if self.compiled else 0

    def forward(self, image_MCHW: Tensor) -> Tensor:
        """Logits (M, K)."""
        image_MCHW = image_MCHW.contiguous(memory_format=torch.channels_last)
        if self.converted:
            image_MCHW = image_MCHW.to(self.dtype)
        if self.compiled is not None and not self._is_watched():
            return self.compiled(image_MCHW)
        return self._plain(image_MCHW)

    def compile_for(self, sizes: Sizes) -> str | None:
        """Have all calls run code compiled for a few sizes; returns why they do not, else None.

        sizes  see `Compiled`
        Raises what means that memory ran out.
        """
        if any(isinstance(m, torch.jit.ScriptModule) for m in self.modules()):
            return "TorchScript cannot be compiled again"
        try:
            if self.compiled is None:
                dtype = self.shown or torch.float32
                like_1CHW = torch.zeros(1, *self.shape, device=self.device, dtype=dtype)
                self.compiled = Compiled(self._plain, sizes, like_1CHW, self.dtype)
            self.compiled.sizes = sizes
            self.compiled.prepare(max(sizes()))
        except Exception as error:  # compilers have no common error, and need none to go on without
            if is_out_of_memory(error):
                raise
            self.compiled = None
            return reason_of(error)
        return None

    def _is_watched(self) -> bool:
        """Whether someone looks at a layer, which compiled code does not have."""
        return any(layer._forward_hooks for layer in self.modules())

    def _plain(self, image_MCHW: Tensor) -> Tensor:
        context = nullcontext() if self.converted else torch.autocast(self.device.type, self.dtype)
        with context:
            logits: Tensor = self.module(image_MCHW)
        return logits.float()


def _folded(module: nn.Module, shape: Shape) -> tuple[nn.Module, str | None]:
    """The module without its batch norms, None; or as it was and, if it has any, why they stay.

    Whether folding changes the logits is seen in float64, where rounding cannot hide it.
    """
    if isinstance(module, torch.jit.ScriptModule) or not any(
        isinstance(m, nn.BatchNorm2d) for m in module.modules()
    ):
        return module, None
    from torch.fx.experimental.optimization import fuse

    try:
        exact = copy.deepcopy(module).double()
        error = _difference(exact, fuse(exact), shape)
        if not error <= SAME:
            raise ArithmeticError(f"the logits would differ by {error:.2g} of the largest")
        return fuse(module).eval(), None
    except Exception as error:  # tracing has no common error: what cannot be traced stays as it is
        return module, f"the classifier's batch norms are not folded: {describe(error)}"


@torch.no_grad()
def _difference(module: nn.Module, other: nn.Module, shape: Shape) -> float:
    """How far the logits of random images lie apart, in shares of the largest."""
    noise = torch.randn(PROBES, *shape, generator=torch.Generator().manual_seed(0))
    noise = noise.to(next(module.parameters()))
    one, two = module(noise), other(noise)
    largest = one.abs().max().clamp_min(torch.finfo(one.dtype).tiny)
    return float((one - two).abs().max() / largest)


@torch.no_grad()
def _converts(module: nn.Module, shape: Shape) -> bool:
    """Whether the module, its weights in bfloat16, takes a bfloat16 image."""
    try:
        changed = copy.deepcopy(module).bfloat16()
        device = next(module.parameters()).device
        changed(torch.zeros(1, *shape, device=device, dtype=torch.bfloat16))
    except Exception:  # whatever the user's model raises
        return False
    return True
