"""CUDA graphs: work that is recorded once and then replayed, without Python or launches between.

Only for work whose tensors stay in place, that never waits for the device, and that does the same
whatever the values are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

WARM_UP = 3  # calls before recording: libraries choose their algorithms, compilers compile


def replayed(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The work itself; on a GPU a graph of it, or the work and a warning if none can be made.

    On a GPU `work` is called a few times here.
    """
    if device.type != "cuda":
        return work
    try:
        return _recorded(work, device)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0]
        warnings.warn(f"steps run without a CUDA graph: {reason}", stacklevel=2)
        return work


def _recorded(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # thread_local: threads that load images may pin memory meanwhile
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        work()
    return graph.replay
