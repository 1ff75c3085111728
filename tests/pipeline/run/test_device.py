"""What a worker sets on its device."""

import pytest
import torch

from pipeline.run.device import c_compiler, prepare_device


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
