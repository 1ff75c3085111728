"""Sizes of calls that have compiled code, and what becomes of calls of other sizes."""

import pytest
import torch

from pipeline.classifiers.frozen import Frozen
from tests.compilers import gradient, image_of, needs_compiler, without_compiler

CPU = torch.device("cpu")


def counted(frozen):
    """Notes the images of every call that runs plainly, outside the compiler."""
    ran, inside = [], frozen.module.forward

    def forward(image):
        if not torch.compiler.is_compiling():
            ran.append(len(image))
        return inside(image)

    frozen.module.forward = forward
    return ran


@pytest.mark.slow
@needs_compiler
def test_calls_of_every_size_run_compiled_code(tiny):
    frozen, plain = (Frozen(tiny.Tiny(), (3, 32, 32), CPU, "fp32") for _ in range(2))
    ran = counted(frozen)
    assert frozen.compile_for(lambda: [2, 4]) is None
    assert ran == [4]  # compared with the plain module
    for images in (4, 1, 3, 5, 11):  # the size itself, padded, and cut with a padded last part
        found, wanted = (gradient(f, image_of(images)) for f in (frozen, plain))
        torch.testing.assert_close(found, wanted)
        with torch.no_grad():
            torch.testing.assert_close(frozen(image_of(images).contiguous()), wanted[0])
        torch.testing.assert_close(frozen(image_of(images)), wanted[0])  # nobody asks for gradients
        frozen(image_of(images).requires_grad_())  # a leaf
    frozen(image_of(2))  # too few calls without gradient for code of their own
    assert ran == [4] and frozen.compiled.ready == {4}
    torch.testing.assert_close(gradient(frozen, image_of(2)), gradient(plain, image_of(2)))
    assert ran == [4, 2] and frozen.compiled.ready == {2, 4}
    frozen(image_of(2))
    assert frozen.eager == 0 and frozen.notes == ()
    ran.clear()
    handle = frozen.module.conv.register_forward_hook(lambda *_: ran.append("hook"))
    frozen(image_of(4))
    handle.remove()
    assert ran == [4, "hook"] and frozen.eager == 0 and frozen.notes == ()


@pytest.mark.slow
@needs_compiler
def test_a_size_that_memory_forces_is_compiled_once_it_is_needed(tiny):
    frozen, plain = (Frozen(tiny.Tiny(), (3, 32, 32), CPU, "fp32") for _ in range(2))
    sizes, wanted = [8], gradient(plain, image_of(7))
    assert frozen.compile_for(lambda: sizes[-1:]) is None
    ran = counted(frozen)
    for size in (4, 2, 1):
        sizes.append(size)
        torch.testing.assert_close(gradient(frozen, image_of(7)), wanted, rtol=1e-4, atol=1e-5)
        assert ran == [size], "trying it is the only plain call"
        ran.clear()
    assert frozen.eager == 0 and frozen.notes == ()


@pytest.mark.slow
@needs_compiler
def test_more_sizes_than_torch_compiles_by_default(tiny):
    frozen = Frozen(tiny.Tiny(), (3, 32, 32), CPU, "fp32")
    assert frozen.compile_for(lambda: [1, 2, 3, 4, 5]) is None
    for images in (1, 2, 3, 4, 5):  # with gradient and without: 10 of 8
        gradient(frozen, image_of(images))
    assert frozen.compiled.ready == {1, 2, 3, 4, 5} and frozen.eager == 0


def test_a_later_size_that_cannot_be_compiled_runs_plainly_counted_and_noted(monkeypatch, tiny):
    def works(images):
        return images >= 8 or RuntimeError(f"no code for {images}\nsecond line")

    without_compiler(monkeypatch, works)
    frozen, sizes = Frozen(tiny.Tiny(), (3, 32, 32), CPU, "fp32"), [[4, 8]]
    wanted = gradient(frozen, image_of(4))
    assert frozen.compile_for(lambda: sizes[-1]) is None
    torch.testing.assert_close(gradient(frozen, image_of(4)), wanted)  # padded to 8
    note = "the classifier is not compiled for 4 images: RuntimeError: no code for 4"
    assert frozen.eager == 0 and frozen.notes == (note,)
    sizes.append([2, 4])  # there is no code for so few
    for _ in range(3):
        assert torch.equal(frozen(image_of(4)), wanted[0])
    assert frozen.eager == 3
    assert frozen.notes[0] == note and "first one of 4 images" in frozen.notes[1]
    assert len(frozen.notes) == 2


def test_memory_that_runs_out_while_compiling_is_raised(monkeypatch, tiny):
    errors = {4: torch.OutOfMemoryError("CUDA out of memory")}
    errors[1] = RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
    without_compiler(monkeypatch, lambda images: errors.get(images))
    frozen, sizes = Frozen(tiny.Tiny(), (3, 32, 32), CPU, "fp32"), [4]
    with pytest.raises(torch.OutOfMemoryError):
        frozen.compile_for(lambda: sizes[-1:])
    sizes.append(2)
    assert frozen.compile_for(lambda: sizes[-1:]) is None
    sizes.append(1)
    with pytest.raises(RuntimeError, match="ALLOC_FAILED"):
        frozen(image_of(3))
    del errors[1]
    frozen(image_of(3))
    assert frozen.eager == 0 and frozen.notes == ()
