"""Fitting networks to a map: the least squares' descent, and that no step waits for a device."""

import torch

from inr_core.masks.mask import Canvas, standardise
from inr_core.masks.siren import SirenConfig, init_parameters, siren
from inr_core.optimisation.fit import fit

NETWORK = SirenConfig(hidden_width=8)
AREAS = (0.05, 0.4)


def problem(device="cpu"):
    theta = torch.stack([init_parameters(seed, NETWORK) for seed in range(2)]).double()
    canvas = Canvas.of((24, 24), 4, theta.to(device))
    target = torch.randn(2, 1, 36, generator=torch.Generator().manual_seed(0)).double()
    weight = torch.full_like(target, 1 / 36)
    target = standardise(target, weight)
    return *(t.to(device) for t in (theta, target, weight)), AREAS, canvas, NETWORK


def test_the_field_comes_nearer_to_the_target_at_all_areas():
    theta, target, weight, *_, canvas, _ = problem()
    areas = torch.tensor([AREAS] * 2, dtype=torch.float64)

    def error(theta):
        field = siren(theta, canvas.points_Q2, areas, NETWORK)
        return (standardise(field, weight.expand_as(field)) - target).square().mean(-1)

    fitted = fit(*problem(), steps=60)
    assert (error(fitted) < 0.7 * error(theta)).all()


def test_no_step_waits_for_the_device():
    """On the meta device there are no values: whatever asks for one raises."""
    assert fit(*problem("meta"), steps=3).device.type == "meta"
