"""Memory that has run out, however a library says so."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from inr_core.device.graph import CaptureFailed

WORDINGS = (  # in lower case; CUDA, cuDNN, cuBLAS and the other libraries have no common error
    "out of memory",
    "alloc_failed",
    "unable to find an engine",
    "no valid engine",
)
ENGINES = ("cudnn", "not_supported", "engine")  # all in one sentence: no workspace for any of them


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says, itself or by a cause, that a GPU's memory has run out; half may fit.

    A capture that failed is not: its process can allocate nothing any more.
    """
    errors = list(_causes(error))
    if any(isinstance(one, CaptureFailed) for one in errors):
        return False
    return any(isinstance(one, torch.OutOfMemoryError) or _says_so(one) for one in errors)


def _says_so(error: BaseException) -> bool:
    if not isinstance(error, RuntimeError):  # as all of torch's are; a user's sentence is not
        return False
    said = str(error).lower()
    return any(w in said for w in WORDINGS) or all(word in said for word in ENGINES)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and what a compiler has wrapped up in it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, getattr(one, "inner_exception", None)]
        if not one.__suppress_context__:
            waiting.append(one.__context__)
