"""The last feature map of a classifier: what its deepest layer that still has places says of each.

A map is an output (B, C, h, w), (B, h, w, C), or tokens (B, k + h * w, C) with up to `PREFIX`
others before them, whose places lie in the proportion of the image.

Shapes: B images, C channels, h x w places, H, W of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inr_core.game.scene import Classify

PREFIX = 8  # tokens (of the class, registers) before those of the places, at the most
ALIVE = 0.3  # share of the places that a layer's gradient reaches, at the least


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The layer whose output is looked at, found by `of`."""

    layer: nn.Module

    @classmethod
    def of(cls, module: nn.Module, image_BCHW: Tensor) -> FeatureMap:
        """The last layer whose output has places, and of which the scores depend at most of them.

        So that of a vision transformer which answers by its class token it is one before the last
        attention. Raises ValueError where there is none, as in exported and scripted models.
        """
        seen: list[tuple[nn.Module, Tensor]] = []
        with torch.enable_grad(), _outputs_of(module, seen):
            logits = module(image_BCHW.detach().requires_grad_())
            highest = logits.float().amax(1).sum()
            tokens = {output.shape[1] for _, output in seen if output.ndim == 3}
            for layer, output in reversed(seen):
                if _places(output, image_BCHW, tokens) and _is_alive(highest, output, image_BCHW):
                    return cls(layer)
        raise ValueError(
            "the classifier has no layer that gives a last feature map (images, channels, height, "
            "width) or tokens of places, as exported and scripted models; use another model, or a "
            "method that needs no layer, for example inr"
        )

    def look(self, classify: Classify, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the images (B, K), and the output of the layer as it is, with its graph."""
        last: list[Tensor] = []
        handle = self.layer.register_forward_hook(lambda *given: last.append(given[2]))
        try:
            logits = classify(image_BCHW)
        finally:
            handle.remove()
        return logits, last[-1]  # of a layer that is used several times


def by_places(output: Tensor, image_BCHW: Tensor) -> Tensor:
    """The output of a layer (or its gradient) as a map (B, C, h, w), in float32 at least."""
    grid = _places(output, image_BCHW)
    assert grid is not None
    exact = output.to(torch.promote_types(output.dtype, torch.float32))
    if output.ndim == 3:
        return exact[:, -grid[0] * grid[1] :].mT.reshape(len(exact), -1, *grid)
    return exact if tuple(exact.shape[2:]) == grid else exact.movedim(3, 1)


@contextmanager
def _outputs_of(module: nn.Module, seen: list[tuple[nn.Module, Tensor]]) -> Iterator[None]:
    """Collects, in forward order, the outputs of layers without parts, with their graphs."""

    def keep(layer: nn.Module, inputs: Any, output: Any) -> None:
        made = isinstance(output, Tensor) and output.grad_fn is not None  # not the image itself
        if made and output.ndim in (3, 4):
            seen.append((layer, output))

    layers = [m for m in module.modules() if not isinstance(m, torch.jit.ScriptModule)]
    handles = [m.register_forward_hook(keep) for m in layers if not any(m.children())]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _places(
    output: Tensor, image_BCHW: Tensor, tokens: Set[int] = frozenset()
) -> tuple[int, int] | None:
    """(h, w) of an output with more than one place in the image's proportion, else None.

    tokens  lengths of sequences: what has one each way is no map but the weights of an attention
    """
    size = image_BCHW.shape[2], image_BCHW.shape[3]
    if output.ndim == 4:
        shape = tuple(output.shape)
        grids = [(h, w) for h, w in (shape[2:], shape[1:3]) if not {h, w} <= tokens]
    else:
        lengths = range(output.shape[1], max(0, output.shape[1] - PREFIX - 1), -1)
        rows = [(n, max(1, round((n * size[0] / size[1]) ** 0.5))) for n in lengths]
        grids = [(h, n // h) for n, h in rows if n % h == 0]
    off = {grid: _off(grid, size) for grid in grids if grid[0] * grid[1] > 1}
    best = min(off, key=off.__getitem__, default=None)
    return best if best is not None and off[best] <= 1 else None


def _off(grid: tuple[int, int], size: tuple[int, int]) -> float:
    """By how many columns a grid misses the image's proportion; padding and strides may cost 1."""
    if grid[0] > size[0] or grid[1] > size[1]:
        return math.inf
    return abs(grid[0] * size[1] / size[0] - grid[1])


def _is_alive(score: Tensor, output: Tensor, image_BCHW: Tensor) -> bool:
    """Whether the gradient of the score reaches most places of an output."""
    (gradient,) = torch.autograd.grad(score, output, retain_graph=True, allow_unused=True)
    if gradient is None:
        return False
    return bool((by_places(gradient, image_BCHW) != 0).any(1).float().mean() >= ALIVE)
