"""Small functions compiled into few kernels on a GPU, where each kernel's launch costs time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from inr_core.device.exhaustion import is_out_of_memory
from inr_core.device.fallback import fall_back

P = ParamSpec("P")
T = TypeVar("T")


def fused(function: Callable[P, T], *, on: str = "cuda") -> Callable[P, T]:
    """The function; compiled for tensors on a GPU, if it can be, else with a note.

    The first argument decides; float64, which is for exact results, is left alone.
    `torch.compiler.set_stance("force_eager")` switches this off.
    Raises when memory runs out, also while compiling, which is tried again then.
    """
    state: dict[str, Callable[P, T]] = {}

    @functools.wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> T:
        first = given[0]
        assert isinstance(first, torch.Tensor)
        is_plain = first.device.type != on or first.dtype == torch.float64
        if is_plain or torch.compiler.is_compiling():  # there, part of a larger function
            return function(*given, **named)
        if not state:  # not before it is needed: the compiler takes long to import
            # By default a size that changes is compiled once more, for all sizes. With `fullgraph`
            # a limit of recompilations is an error, not a silent end of compiled code.
            state["call"] = torch.compile(function, fullgraph=True)
        try:
            return state["call"](*given, **named)
        except Exception as error:  # of a compiler, whatever it is
            if is_out_of_memory(error):
                raise
            state["call"] = function
            reason = (str(error).splitlines() or [""])[0]
            fall_back(f"{function.__name__} is not compiled: {reason}")
            return function(*given, **named)

    return call
