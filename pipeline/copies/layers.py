"""The layers of a classifier from the top, and new weights for them.

A layer is a module with parameters of its own; the top is the one that was registered last, which
in classifiers is the one that gives the logits.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from inr_core import stable_seed


def layers_of(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and modules of the layers in the order of registration."""
    return [
        (name, part)
        for name, part in module.named_modules()
        if next(part.parameters(recurse=False), None) is not None
    ]


def top_layers(module: nn.Module, depth: float) -> list[tuple[str, nn.Module]]:
    """The last share `depth` of the layers, in 0..1: at least one, but for a depth of 0."""
    layers = layers_of(module)
    return layers[len(layers) - math.ceil(depth * len(layers)) :]


@torch.no_grad()
def draw_anew(module: nn.Module, depth: float, seed: int) -> None:
    """Give the top layers new weights, in place (Adebayo et al. 2018, cascading from the top).

    A layer is drawn by its own `reset_parameters`, running statistics included; the values of one
    without are put into a random order, tensor by tensor. What a layer is given depends on its name
    and the seed alone: deeper copies have the same weights at the top.
    """
    for name, layer in top_layers(module, depth):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stable_seed(seed, name, 0, 0))
            _draw(layer)


def _draw(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for parameter in layer.parameters(recurse=False):
        order = torch.randperm(parameter.numel())
        parameter.copy_(parameter.flatten()[order].view_as(parameter))
