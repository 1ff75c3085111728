"""Programs saved by torch.export, as they are: of one batch size, or of any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import RequestError
from pipeline.images import Preprocess

PART = 224 / 256  # of the shorter side that is cut from the centre where nobody says how


class FixedBatch(nn.Module):
    """A program that takes `images` at once, called with any number of them.

    Fewer are padded with zeros, more are given to it in several calls.
    """

    def __init__(self, program: nn.Module, images: int) -> None:
        super().__init__()
        self.program, self.images = program, images

    def forward(self, image_MCHW: Tensor) -> Tensor:
        """Logits (M, K)."""
        missing = -len(image_MCHW) % self.images
        padded = functional.pad(image_MCHW, (0, 0) * 3 + (0, missing)) if missing else image_MCHW
        logits = [self.program(part) for part in torch.split(padded, self.images)]
        return torch.cat(logits)[: len(image_MCHW)]


def is_program(module: nn.Module) -> bool:
    """Whether it is exported: such a module has no training mode and keeps its memory formats."""
    return isinstance(module, FixedBatch | torch.fx.GraphModule)


def runnable(program: Any) -> tuple[nn.Module, Preprocess]:
    """A program's module, and the preprocessing with the input size and channels that it is for."""
    batch, channels, height, width = _input_shape(program)
    module = program.module()
    if batch is not None:
        module = FixedBatch(module, batch)
    return module, _preprocess(channels, height, width)


def _input_shape(program: Any) -> tuple[int | None, ...]:
    """(batch, channels, height, width) of its only input; None where any number is taken."""
    names = program.graph_signature.user_inputs
    inputs = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor) or inputs[0].ndim != 4:
        shapes = [tuple(getattr(one, "shape", ())) for one in inputs]
        raise RequestError(f"takes inputs of {shapes}; expected one, (batch, channels, H, W)")
    return tuple(side if isinstance(side, int) else None for side in inputs[0].shape)


def _preprocess(channels: int | None, height: int | None, width: int | None) -> Preprocess:
    known = Preprocess()
    if channels == 1:
        known = known.override("channels=grey")
    height, width = height or width, width or height  # a square where one is told
    if height is None or width is None:
        return known
    resize = round(height / PART), round(width / PART)
    return replace(known, crop=(height, width), resize=resize)
