"""Small functions compiled into few kernels on a GPU, where each kernel's launch costs time."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def fused(function: Callable[..., Tensor], *, on: str = "cuda") -> Callable[..., Tensor]:
    """The function; compiled for float32 tensors on a GPU, if it can be, else with a warning.

    The first argument decides. `torch.compiler.set_stance("force_eager")` switches this off.
    """
    state: dict[str, Callable[..., Tensor]] = {}

    @functools.wraps(function)
    def call(*given: Any) -> Tensor:
        if given[0].device.type != on or given[0].dtype != torch.float32:
            return function(*given)
        if not state:  # not before it is needed: the compiler takes long to import
            state["call"] = torch.compile(function, dynamic=False)
        try:
            return state["call"](*given)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of a compiler, whatever it is
            state["call"] = function
            reason = (str(error).splitlines() or [""])[0]
            warnings.warn(f"{function.__name__} is not compiled: {reason}", stacklevel=2)
            return function(*given)

    return call
