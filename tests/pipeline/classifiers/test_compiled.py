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


@pytest.mark.slow
@needs_compiler
def test_only_the_shape_it_was_warmed_up_with_is_compiled_and_nothing_later(tiny):
    frozen = Frozen(tiny.Tiny(), 32, CPU, "fp32")
    plain = frozen(image_of(4)), frozen(image_of(3))
    ran = []
    inside = frozen.module.forward

    def noted(image):
        if not torch.compiler.is_compiling():
            ran.append(len(image))
        return inside(image)

    frozen.module.forward = noted
    assert frozen.compile_for(4) is None
    ran.clear()  # the warm-up compares with the plain module
    image = (2 * image_of(4).requires_grad_()) / 2  # no leaf, as in the loop
    torch.testing.assert_close(frozen(image), plain[0])
    torch.autograd.grad(frozen(image).sum(), image)
    with torch.no_grad():
        frozen(image_of(4).contiguous())  # another layout is brought into that one
    assert ran == []
    torch.testing.assert_close(frozen(image_of(3)), plain[1])
    assert ran == [3]
    handle = frozen.module.conv.register_forward_hook(lambda *_: ran.append("hook"))
    frozen(image_of(4))
    handle.remove()
    assert ran == [3, 4, "hook"]


@pytest.mark.slow
@needs_compiler
def test_bf16_under_autocast_is_compiled_too(tiny):
    class Float32Only(tiny.Tiny):
        def forward(self, image):
            if self.conv.weight.dtype != torch.float32:
                raise TypeError("float32 only")
            return super().forward(image)

    frozen = Frozen(Float32Only(), 32, CPU, "bf16")
    wanted = frozen(image_of(2))
    assert not frozen.converted and frozen.compile_for(2) is None
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
    frozen = Frozen(module, 32, CPU, "fp32")
    assert reason in frozen.compile_for(2)
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

    monkeypatch.setattr(torch, "compile", lambda run, **_: lambda image: wrong * run(image))
    with pytest.raises(ArithmeticError, match="differ by"):
        Compiled(run, image_of(2), torch.float32)
    monkeypatch.setattr(torch, "compile", lambda run, **_: run)
    assert torch.equal(Compiled(run, image_of(2), torch.float32)(image_of(3)), run(image_of(3)))


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
