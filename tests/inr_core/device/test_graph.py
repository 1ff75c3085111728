"""Recording, on a stub of torch's CUDA graphs: what is shared, what is freed, what a failure is."""

from contextlib import contextmanager, nullcontext

import pytest
import torch

from inr_core.device import graph
from inr_core.device.graph import WARM_UP, CaptureFailed, Recorder, replayed

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Stream:
    def __init__(self, device):
        self.device = device

    def wait_stream(self, other):
        pass


class Graph:
    """Has a pool once it has recorded; calls nothing when replayed."""

    def pool(self):
        return self.taken

    def replay(self):
        pass


@pytest.fixture
def captures(monkeypatch):
    """(pool asked for, stream) of every capture; `torch.cuda` records without a GPU."""
    seen = []

    @contextmanager
    def record(graph, *, pool, stream, capture_error_mode):
        seen.append((pool, stream))
        graph.taken = pool or object()
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    graph.recorder.cache_clear()
    yield seen
    graph.recorder.cache_clear()


def test_on_a_cpu_nothing_is_recorded(captures):
    def work():
        pass

    assert replayed(work, CPU) is work and not captures


def test_work_is_called_before_and_while_it_is_recorded(captures):
    calls = []
    again = replayed(lambda: calls.append(1), CUDA)
    assert len(calls) == WARM_UP + 1
    again()
    assert len(calls) == WARM_UP + 1 and len(captures) == 1


def test_graphs_share_a_stream_and_the_memory_of_those_that_are_alive(captures):
    kept = [replayed(lambda: None, CUDA) for _ in range(3)]
    pools, streams = zip(*captures, strict=True)
    assert pools[0] is None and pools[1] is pools[2] is not None
    assert len(set(streams)) == 1
    kept.clear()  # then nothing holds the pool, and its handle must not be used again
    replayed(lambda: None, CUDA)
    assert captures[-1][0] is None


@pytest.mark.parametrize(
    "error", [RuntimeError("operation not permitted"), torch.OutOfMemoryError("out of memory")]
)
def test_a_failure_while_recording_is_told_apart(captures, error):
    calls = []

    def work():
        calls.append(1)
        if len(calls) > WARM_UP:
            raise error

    with pytest.raises(CaptureFailed, match=f"cannot become a CUDA graph: {error}"):
        replayed(work, CUDA)
    assert not Recorder(CUDA).alive


def test_an_error_of_the_work_itself_is_its_own(captures):
    def work():
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        replayed(work, CUDA)
    assert not captures
