"""Compiled functions equal plain ones; one that cannot be compiled is called as it is."""

import copy
import dataclasses
from functools import partial

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from inr_core import fallbacks, is_out_of_memory
from inr_core.device import fallback
from inr_core.device.fused import fused
from inr_core.game import ObjectiveConfig, Scene, perturbation, reveal
from inr_core.game.objective import rewards
from inr_core.masks import Canvas, MaskConfig, SirenConfig, area, init_parameters
from inr_core.optimisation import Networks, OptimiseConfig, Others, Schedule, adam, fit, step
from tests.compilers import needs_compiler

RANDOM = torch.Generator().manual_seed(0)


def all_fused():
    """Every fused function that a step calls, and what it is given: 2 networks, 2 areas."""
    canvas = Canvas.of((8, 8), 2, torch.zeros(()))
    network = SirenConfig(hidden_width=4, sine_layers=2, conditioned=False)
    theta = torch.stack([init_parameters(n, network) for n in range(2)])
    areas = torch.tensor([[0.2, 0.4]] * 2)
    field, weight = torch.randn(2, 2, 16, generator=RANDOM), torch.full((2, 2, 16), 1 / 16)
    temperature, rounds = torch.tensor([0.05, 1.0])[:, None, None], torch.tensor([0, 1])
    mask, objective = MaskConfig(network=network, stride=2), ObjectiveConfig(game="dual")
    image, baseline = torch.randn(2, 2, 3, 8, 8, generator=RANDOM)
    level, sides = torch.tensor([[0, 1], [1, 0]]), (True, True)
    shown = torch.randn(2, 4, 3, 8, 8, generator=RANDOM)
    levels = torch.stack((baseline, image - baseline), 1)
    moments = torch.rand(2, *theta.shape, generator=RANDOM)
    updates = torch.tensor([[3.0], [0.0]])
    scene = Scene(image_NCHW=image, baseline_NLCHW=levels, target_N=rounds, pyramid=False)
    held = Networks(
        theta_NK=theta,
        round_N=rounds,
        previous_NJK=theta[:, None],
        others=Others(theta.flip(0)[:, None], rounds),
        level_NSA=level[:, None].repeat(1, 4, 1),
        scene=scene,
    )
    config = OptimiseConfig(steps=4, enough=-0.1, cooldown=2)
    schedule = Schedule.of(config, [(0.1, 0.5), (0.1, 0.4)], 0.05, theta)
    clocks = step.Clocks(torch.tensor([1, 3]), rounds.clone(), torch.tensor([-0.05, -2.0]))
    mover = adam.Adam(theta)
    return {
        area._solve: (field, areas, weight, temperature),
        perturbation._blend: (
            field.view(2, 2, 1, 4, 4),
            image[:, None, :, :4, :4],
            image[:, None, :, 4:, 4:],
        ),
        perturbation._along: (shown, image[:, None]),
        reveal.revealed: (field.view(2, 2, 4, 4), image, levels, level, sides),
        reveal.along: (shown, image, levels, level, sides, (4, 4)),
        step.look: (theta, clocks.step_M, held, schedule, canvas, mask, objective),
        step.move: (theta, theta.flip(0), clocks.reward_M.flip(0), mover, clocks, schedule),
        fit.squared_error: (theta, areas, field[:, :1], weight[:, :1], canvas.points_Q2, network),
        rewards: (torch.randn(8, 5, generator=RANDOM), torch.tensor([1, 3]), objective),
        adam.move: (theta, theta.flip(0), updates / 100, *moments, updates),
    }


GIVEN = all_fused()


def tensors_of(value):
    """All tensors in it, in one order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, adam.Adam):
        value = list(vars(value).values())
    return [t for v in value for t in tensors_of(v)] if isinstance(value, (list, tuple)) else []


@needs_compiler
@pytest.mark.filterwarnings("ignore:::torch")
@pytest.mark.parametrize("function", GIVEN, ids=lambda function: function.__name__)
def test_compiled_functions_are_the_plain_ones(function, monkeypatch):
    """What they return, what they change in place, and the gradient of their first argument."""
    monkeypatch.setattr(fallback, "_noted", {})
    found = []
    for call in (fused(function.__wrapped__, on="cpu"), function.__wrapped__):
        given = copy.deepcopy(GIVEN[function])
        if function in (step.look, fit.squared_error, rewards):
            given[0].requires_grad_()
        result = call(*given)
        outputs = result if isinstance(result, tuple) else (result,) if result is not None else ()
        if given[0].requires_grad:
            outputs += torch.autograd.grad(sum(o.sum() for o in outputs), given[0])
        found.append([*outputs, *tensors_of(given)])
    assert fallback.fallbacks() == ()
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


def test_elsewhere_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: None)
    assert fused(torch.neg)(torch.ones(1)).item() == -1


def test_a_compiler_that_fails_is_told_once(monkeypatch):
    def broken(*given):
        raise RuntimeError("no compiler here\nmore lines")

    monkeypatch.setattr(torch, "compile", lambda function, **_: broken)
    monkeypatch.setattr(fallback, "_noted", {})
    negate = fused(torch.neg, on="cpu")
    with pytest.warns(UserWarning, match="neg is not compiled: no compiler here$"):
        assert negate(torch.ones(1)).item() == -1
    assert negate(torch.ones(1)).item() == -1
    assert fallbacks() == ("neg is not compiled: no compiler here",)


@pytest.mark.parametrize("wrapped", [False, True])
def test_memory_that_runs_out_is_not_the_compilers_fault(monkeypatch, wrapped):
    """Neither while it runs nor while it is compiled; the next call may be compiled."""
    error = torch.OutOfMemoryError("out of memory")
    failures = [BackendCompilerFailed(torch.neg, error, None) if wrapped else error]

    def greedy(given):
        if failures:
            raise failures.pop()
        return given - 2

    monkeypatch.setattr(torch, "compile", lambda function, **_: greedy)
    monkeypatch.setattr(fallback, "_noted", {})
    negate = fused(torch.neg, on="cpu")
    with pytest.raises(RuntimeError) as raised:
        negate(torch.ones(1))
    assert is_out_of_memory(raised.value)
    assert negate(torch.ones(1)).item() == -1 and not fallbacks()


def test_many_sizes_are_compiled_a_few_times(monkeypatch):
    """As many networks as there happen to be: a handful of compilations serve all numbers."""
    compiled = []

    def backend(graph, example):
        compiled.append(graph)
        return graph.forward

    compile_ = partial(torch.compile, backend=backend)
    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(fallback, "_noted", {})
    for plain, given_of in (
        (area._solve.__wrapped__, solve_of),
        (perturbation._blend.__wrapped__, blend_of),
    ):
        torch.compiler.reset()
        compiled.clear()
        call = fused(plain, on="cpu")
        for count in (64, 32, 16, 8, 57, 3, 5, 7, 11, 13, 17, 19, 23):
            given = given_of(count)
            torch.testing.assert_close(call(*given), plain(*given))
        assert 1 <= len(compiled) <= 3, plain
    assert fallbacks() == ()


def solve_of(count):
    field = torch.randn(count, 2, 50, generator=RANDOM)
    temperature = torch.full((count, 1, 1), 0.5)
    return field, torch.full((count, 2), 0.1), torch.full_like(field, 1 / 50), temperature


def blend_of(count):
    image, baseline = torch.randn(2, count, 1, 3, 8, 8, generator=RANDOM)
    return torch.rand(count, 2, 1, 8, 8, generator=RANDOM), image, baseline
