"""Compiled classifiers: the same answers, and a reason where there is no compiling."""

import io
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
from tests.compilers import gradient, image_of, needs_compiler, without_compiler
from tests.shards import refs_of, tables

CPU = torch.device("cpu")
MASK_STEPS = 3  # of 255: how far a pixel of a mask may be from that of the plain classifier


@pytest.fixture
def dataset(tmp_path):
    return str(write_dataset(tmp_path / "data", 2, 0))


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
