"""CUDA graphs: work that is recorded once and then replayed, without Python or launches between.

Only for work whose tensors stay in place, that never waits for the device, that does the same
whatever the values are, and that keeps no tensor of its own: all graphs share their memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from weakref import WeakSet

import torch

WARM_UP = 3  # calls before recording: libraries choose their algorithms, compilers compile


class CaptureFailed(RuntimeError):
    """No graph can be made of some work, and this process's allocator still waits for one.

    Whatever is allocated from now on may fail; a new process that records nothing can go on.
    """


class Recorder:
    """Makes graphs on one device, one after the other, on one stream.

    alive  the graphs that may be replayed; a new one takes the memory of these, as no two of them
           ever run at the same time
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """A graph of the work, ready to be replayed."""
        self._warm_up(work)
        graph = torch.cuda.CUDAGraph()
        shared = next((other.pool() for other in self.alive), None)
        try:
            # thread_local: threads that load images may pin memory meanwhile
            with torch.cuda.graph(
                graph, pool=shared, stream=self.stream, capture_error_mode="thread_local"
            ):
                work()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise CaptureFailed(f"steps cannot become a CUDA graph: {reason}") from error
        self.alive.add(graph)
        return graph.replay

    def _warm_up(self, work: Callable[[], None]) -> None:
        """On the stream of the recording, whose libraries have workspaces of their own."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                work()
        current.wait_stream(self.stream)


recorder = lru_cache(Recorder)  # one for each device


def replayed(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The work itself; on a GPU a graph of it, for which it is called a few times here.

    Raises CaptureFailed if it cannot be recorded, and whatever it raises itself.
    """
    return recorder(device).record(work) if device.type == "cuda" else work
