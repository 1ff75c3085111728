"""Loaded classifiers, and models built for the number of classes that a state dict has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.classifiers.weights import load_state, read_state_dict
from pipeline.images import Preprocess

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A classifier before it is frozen; `classes` None where nobody knows their names."""

    module: nn.Module
    preprocess: Preprocess
    classes: tuple[str, ...] | None = None


def filled(build: Callable[[int, State], nn.Module], weights: str, name: str) -> nn.Module:
    """The model of as many classes as the state dict in the file `weights` has, with its weights.

    build  number of classes, the state dict -> the model
    Raises RequestError where the file holds no state dict or that of another model than `name`.
    """
    state = read_state_dict(weights)
    module = build(_head_size(build, state), state)
    load_state(module, state, weights, name)
    return module


def _head_size(build: Callable[[int, State], nn.Module], state: State) -> int:
    """Classes of the head in `state`: the bias whose size depends on the number of classes."""
    with torch.device("meta"):
        some, more = (build(classes, state).state_dict() for classes in (2, 3))
    heads = [key for key in some if some[key].shape != more[key].shape and some[key].ndim == 1]
    found = [len(state[key]) for key in heads if key in state and state[key].ndim == 1]
    return found[-1] if found else 1000
