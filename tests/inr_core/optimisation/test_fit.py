"""Fitting networks to a map: the least squares' descent, and that no step waits for a device."""

import math

import torch

from inr_core.masks.area import area_sequence
from inr_core.masks.mask import Canvas, standardise
from inr_core.masks.siren import SirenConfig, init_parameters, siren
from inr_core.optimisation.fit import RATE, Fit

NETWORK = SirenConfig(hidden_width=8)
AREAS = [(0.05, 0.4), (0.1, 0.3)]  # of two rounds


def problem(device="cpu"):
    theta = torch.stack([init_parameters(seed, NETWORK) for seed in (0, 1)]).double().to(device)
    canvas = Canvas.of((24, 24), 4, theta)
    target = torch.randn(2, 1, 36, generator=torch.Generator().manual_seed(0)).double()
    weight = torch.full_like(target, 1 / 36)
    target = standardise(target, weight)
    rounds = torch.tensor([0, 1])
    return theta, canvas, *(t.to(device) for t in (target, weight, rounds))


def fit_of(count, theta, canvas, steps):
    return Fit(count, theta[0], AREAS, canvas, NETWORK, steps)


def plain_fit(theta, areas, canvas, target, weight, steps):
    """One network, its loss in one line of autograd, torch's own Adam."""
    theta = theta[None].clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: RATE * (1 + math.cos(math.pi * step / steps)) / 2
    )
    for area in area_sequence(steps, 2, *areas).double():
        field = siren(theta, canvas.points_Q2, area[None], NETWORK)
        adam.zero_grad()
        (weight * (standardise(field, weight.expand_as(field)) - target).square()).sum().backward()
        adam.step()
        schedule.step()
    return theta.detach()[0]


def test_networks_of_two_rounds_equal_a_plain_fit_of_each():
    theta, canvas, target, weight, rounds = problem()
    found = fit_of(2, theta, canvas, 20)(theta, target, weight, rounds)
    for n in range(2):
        alone = plain_fit(theta[n], AREAS[n], canvas, target[n : n + 1], weight[n : n + 1], 20)
        torch.testing.assert_close(found[n], alone, atol=1e-9, rtol=1e-9)


def test_one_fit_serves_again_and_fewer_networks():
    theta, canvas, target, weight, rounds = problem()
    fit = fit_of(5, theta, canvas, 20)
    both = fit(theta, target, weight, rounds)
    second = fit(theta[1:], target[1:], weight[1:], rounds[1:])
    assert both.shape == theta.shape and second.shape == theta[1:].shape
    torch.testing.assert_close(second, both[1:], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(fit(theta, target, weight, rounds), both, atol=0, rtol=0)


def test_the_field_comes_nearer_to_the_target_at_all_areas():
    theta, canvas, target, weight, rounds = problem()
    areas = torch.tensor([AREAS[0]] * 2, dtype=torch.float64)

    def error(theta):
        field = siren(theta, canvas.points_Q2, areas, NETWORK)
        return (standardise(field, weight.expand_as(field)) - target).square().mean(-1)

    fitted = fit_of(2, theta, canvas, 60)(theta, target, weight, rounds)
    assert (error(fitted) < 0.7 * error(theta)).all()


def test_no_step_waits_for_the_device():
    """On the meta device there are no values: whatever asks for one raises."""
    theta, canvas, *given = problem("meta")
    assert fit_of(3, theta, canvas, 3)(theta, *given).device.type == "meta"
