"""Compiled classifiers: the same answers, one shape, and a reason where there is no compiling."""

import io
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline import Request, load_job
from pipeline.classifiers.compiled import Compiled
from pipeline.classifiers.frozen import Frozen
from pipeline.run import driver
from pipeline.run.worker import ShardWorker
from pipeline.shapes import write_dataset
from pipeline.tables.shard import Shard
from tests.shards import refs_of, tables

CPU = torch.device("cpu")
MASK_STEPS = 3  # of 255: how far a pixel of a mask may be from that of the plain classifier

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

TINY = """
import torch
from pipeline.images import Preprocess
from pipeline.shapes import CLASSES

class Tiny(torch.nn.Module):
    preprocess, classes = Preprocess(resize=32, crop=32), CLASSES
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = torch.nn.Conv2d(3, 4, 5, 4), torch.nn.Linear(4, 10)
    def forward(self, image):
        return self.head(self.conv(image).relu().mean((2, 3)))

class Branching(Tiny):
    def forward(self, image):
        return super().forward(image) if image.mean() > 0 else super().forward(-image)
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "tiny_model.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import tiny_model

    yield tiny_model
    torch._dynamo.reset()


@pytest.fixture
def dataset(tmp_path):
    return str(write_dataset(tmp_path / "data", 2, 0))


def image_of(count):
    torch.manual_seed(1)
    return torch.randn(count, 3, 32, 32).contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
@needs_compiler
def test_masks_are_those_of_the_plain_classifier(dataset, tiny):
    found = {}
    for on in (False, True):
        job = {"manifest": dataset, "model": "python:tiny_model:Tiny", "workers": 0, "steps": 5}
        spec = Request(load_job(None, {**job, "compile": on})).worker_spec()
        worker = ShardWorker(spec)
        assert worker.notes == ()
        assert (worker.classifier.module.compiled is not None) == on
        found[on] = tables(worker(Shard(refs_of(dataset))))
    assert len(found[True]["masks"]) == 8
    for one, other in zip(found[False]["masks"], found[True]["masks"], strict=True):
        assert one["score_kept"] == pytest.approx(other["score_kept"], abs=1e-4)
        plain, fast = (pixels(row) for row in (one, other))
        assert (plain - fast).abs().max() <= MASK_STEPS


def pixels(row):
    return torch.from_numpy(np.array(Image.open(io.BytesIO(row["mask"]["bytes"])))).int()


def counted(frozen):
    """Notes the images of every call that runs plainly, outside the compiler."""
    ran, inside = [], frozen.module.forward

    def forward(image):
        if not torch.compiler.is_compiling():
            ran.append(len(image))
        return inside(image)

    frozen.module.forward = forward
    return ran


def gradient(classify, image, of=1):
    image = (2 * image.requires_grad_()) / 2  # no leaf, as in the loop
    logits = classify(image)
    return logits, torch.autograd.grad(logits[:, of].sum(), image)[0]


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


def without_compiler(monkeypatch, works=lambda images: True):
    """A compiler that hands back what it is given, or raises what `works` returns."""

    def compiled(run, **_):
        def call(image):
            error = works(len(image))
            if isinstance(error, Exception):
                raise error
            return run.__self__.run(image)

        return call

    monkeypatch.setattr(torch, "compile", compiled)


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


@pytest.mark.slow
@needs_compiler
def test_bf16_under_autocast_is_compiled_too(tiny):
    class Float32Only(tiny.Tiny):
        def forward(self, image):
            if self.conv.weight.dtype != torch.float32:
                raise TypeError("float32 only")
            return super().forward(image)

    frozen = Frozen(Float32Only(), (3, 32, 32), CPU, "bf16")
    wanted = frozen(image_of(2))
    assert not frozen.converted and frozen.compile_for(lambda: [2]) is None
    torch.testing.assert_close(frozen(image_of(2)), wanted, rtol=0.02, atol=0.02)


def scripted(tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(tiny.Tiny().eval(), image_of(1))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda tiny: tiny.Branching(), "Unsupported: Data-dependent branching"),
        (scripted, "TorchScript cannot be compiled"),
    ],
)
def test_what_cannot_be_compiled_runs_plainly_and_says_why(tiny, make, reason):
    module = make(tiny)
    frozen = Frozen(module, (3, 32, 32), CPU, "fp32")
    assert reason in frozen.compile_for(lambda: [2])
    assert frozen.compiled is None
    assert torch.equal(frozen(image_of(2)), module(image_of(2)))


@pytest.mark.filterwarnings("ignore:.*force_disable_caches")
def test_without_a_compiler_the_run_goes_on_and_its_progress_says_why(dataset, tmp_path, tiny):
    from torch._inductor import config

    job = {"manifest": dataset, "model": "python:tiny_model:Tiny", "workers": 0, "steps": 1}
    request = Request(load_job(None, {**job, "out": str(tmp_path / "out"), "compile": True}))
    seen = []
    broken = {"cpp.cxx": ("/nonexistent/g++",), "force_disable_caches": True}
    with config.patch(broken):  # not monkeypatch, whose undoing deletes a setting of this module
        summary = driver.run(request, seen.append)
    assert (summary.explained, summary.failed) == (2, 0)
    (note,) = seen[-1].notes
    assert note.startswith("the classifier runs without torch.compile: InvalidCxxCompiler")


@pytest.mark.parametrize("wrong", [2.0, float("nan")])
def test_compiled_code_that_answers_otherwise_is_refused(monkeypatch, wrong):
    head = nn.Linear(3 * 32 * 32, 2)

    def run(image):
        return head(image.flatten(1))

    like = image_of(1)
    monkeypatch.setattr(torch, "compile", lambda run, **_: lambda image: wrong * run(image))
    with pytest.raises(ArithmeticError, match="differ by"):
        Compiled(run, lambda: [2], like, torch.float32)
    without_compiler(monkeypatch)
    torch.testing.assert_close(
        Compiled(run, lambda: [2], like, torch.float32)(image_of(3)), run(image_of(3))
    )


def test_compiling_is_the_default_on_gpus_only_and_no_part_of_a_runs_identity(dataset):
    def request(**changes):
        job = {"manifest": dataset, "model": "builtin:shapes", "workers": 0, **changes}
        return Request(load_job(None, job))

    default, on = request(), request(compile=True)
    assert not default.worker_spec().compile and on.worker_spec().compile
    assert default.fingerprint == on.fingerprint
    on_gpu = request()
    on_gpu.device = "cuda"
    assert on_gpu.worker_spec().compile
    off = request(compile=False)
    off.device = "cuda"
    assert not off.worker_spec().compile


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_on_a_gpu(tiny, precision):
    gpu = torch.device("cuda")
    frozen, plain = (Frozen(tiny.Tiny(), (3, 32, 32), gpu, precision) for _ in range(2))
    assert frozen.compile_for(lambda: [2, 4]) is None
    for images in (4, 3, 2, 9):
        found, wanted = (gradient(f, image_of(images).cuda()) for f in (frozen, plain))
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
    assert frozen.eager == 0 and frozen.compiled.ready == {2, 4}
