"""Compiled functions equal plain ones; one that cannot be compiled is called as it is."""

import shutil

import pytest
import torch

from inr_core.device.fused import fused
from inr_core.game import perturbation
from inr_core.masks import area

RANDOM = torch.Generator().manual_seed(0)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler: g++")


@needs_compiler
@pytest.mark.filterwarnings("ignore:::torch")
def test_the_compiled_threshold_is_the_plain_one():
    plain = area._solve.__wrapped__
    field = torch.randn(2, 3, 200, generator=RANDOM)
    areas = torch.tensor([[0.05, 0.1, 0.4]] * 2)
    given = field, areas, torch.full_like(field, 1 / 200), torch.tensor([0.05, 1.0])[:, None, None]
    compiled = fused(plain, on="cpu")
    torch.testing.assert_close(compiled(*given), plain(*given), atol=1e-5, rtol=1e-5)


@needs_compiler
@pytest.mark.filterwarnings("ignore:::torch")
def test_the_compiled_blend_is_the_plain_one():
    mask = torch.rand(2, 3, 1, 8, 8, generator=RANDOM)
    image, baseline = torch.randn(2, 2, 1, 3, 8, 8, generator=RANDOM)
    for name, given in (
        ("_blend", (mask, image, baseline)),
        ("_along", (torch.randn(2, 3, 3, 8, 8, generator=RANDOM), image - baseline)),
    ):
        plain = getattr(perturbation, name).__wrapped__
        torch.testing.assert_close(fused(plain, on="cpu")(*given), plain(*given))


def test_elsewhere_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: None)
    assert fused(torch.neg)(torch.ones(1)).item() == -1


def test_a_compiler_that_fails_is_told_once(monkeypatch):
    def broken(*given):
        raise RuntimeError("no compiler here\nmore lines")

    monkeypatch.setattr(torch, "compile", lambda function, **_: broken)
    negate = fused(torch.neg, on="cpu")
    with pytest.warns(UserWarning, match="neg is not compiled: no compiler here$"):
        assert negate(torch.ones(1)).item() == -1
    assert negate(torch.ones(1)).item() == -1


def test_memory_that_runs_out_is_not_the_compilers_fault(monkeypatch):
    def greedy(*given):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "compile", lambda function, **_: greedy)
    with pytest.raises(torch.OutOfMemoryError):
        fused(torch.neg, on="cpu")(torch.ones(1))
