"""What a worker sets on its device."""

import pytest
import torch

from pipeline import RequestError
from pipeline.run.device import c_compiler, places, prepare_device, share_of_memory


@pytest.fixture
def cudnn():
    """The switches of cuDNN, as they were afterwards."""
    flags = torch.backends.cudnn
    before = flags.benchmark, flags.allow_tf32
    flags.benchmark, flags.allow_tf32 = False, False
    yield flags
    flags.benchmark, flags.allow_tf32 = before


def test_a_cpu_worker_has_its_threads_and_leaves_cuda_alone(cudnn):
    before = torch.get_num_threads()
    prepare_device("cpu", 2, None, compile=False)
    assert torch.get_num_threads() == 2
    assert not cudnn.benchmark and not cudnn.allow_tf32
    torch.set_num_threads(before)


@pytest.mark.parametrize(("memory", "share"), [(25 * 10**9, 0.25), (200 * 10**9, 1.0)])
def test_a_gpu_worker_has_a_share_of_the_memory(cudnn, monkeypatch, memory, share):
    shares = []

    class Properties:
        total_memory = 100 * 10**9

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    threads = torch.get_num_threads()
    prepare_device("cuda", 7, memory, compile=True)
    assert shares == [share]
    assert cudnn.benchmark and cudnn.allow_tf32
    assert torch.get_num_threads() == threads
    prepare_device("cuda", 7, None, compile=True)
    assert shares == [share]


def test_the_compiler_is_the_one_that_triton_finds(monkeypatch):
    build = pytest.importorskip("triton.runtime.build")
    found = {}

    def tritons():
        build._find_compiler.cache_clear()
        try:
            return build._find_compiler("c")
        except RuntimeError:
            return None

    monkeypatch.setattr("shutil.which", found.get)
    monkeypatch.delenv("CC", raising=False)
    assert c_compiler() is None and tritons() is None
    found["clang"] = "/usr/bin/clang"
    assert c_compiler() == tritons() == "/usr/bin/clang"
    found["gcc"] = "/usr/bin/gcc"
    assert c_compiler() == tritons() == "/usr/bin/gcc"
    monkeypatch.setenv("CC", "mycc")
    assert c_compiler() == tritons() == "mycc"
    build._find_compiler.cache_clear()


@pytest.mark.parametrize(
    ("gpus", "workers", "address", "gpu", "found"),
    [
        ("auto", None, "auto", 1.0, ("cuda", 1)),  # and grows
        ("auto", None, None, 1.0, ("cuda", 2)),
        ("auto", None, None, 0.5, ("cuda", 4)),
        (None, None, None, 0.3, ("cuda", 6)),
        (3, None, "head:6379", 0.5, ("cuda", 6)),
        (1, 0, None, 1.0, ("cuda", 0)),
        (0, 3, None, 1.0, ("cpu", 3)),
    ],
)
def test_workers_of_so_many_gpus(monkeypatch, gpus, workers, address, gpu, found):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert places(gpus, workers, address, gpu) == found


@pytest.mark.parametrize(
    ("gpus", "workers", "address", "message"),
    [
        ("auto", None, None, "--gpus auto: this machine has none"),
        ("auto", 2, "auto", "--gpus auto and --workers 2"),
        (2, None, None, "--gpus 2: this machine has 0"),
    ],
)
def test_gpus_that_are_not_there(monkeypatch, gpus, workers, address, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RequestError, match=message):
        places(gpus, workers, address)


def test_workers_that_share_a_gpu_share_its_memory(monkeypatch):
    class Properties:
        total_memory = 100 * 10**9

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert share_of_memory("cuda", 0.5, None) == 45 * 10**9
    assert share_of_memory("cuda", 0.5, 20 * 10**9) == 20 * 10**9
    assert share_of_memory("cuda", 1.0, None) is None
    assert share_of_memory("cpu", 1.0, None) is None
