"""Stacked SIRENs against one written out by hand."""

import math
from dataclasses import replace

import pytest
import torch

from inr_core.masks.grid import centres, grid
from inr_core.masks.siren import SirenConfig, init_parameters, siren
from inr_core.seeds import stable_seed

CONFIG = SirenConfig(hidden_width=5, sine_layers=3, w0_first=3.0, w0_hidden=1.5)
SHARED = replace(CONFIG, conditioned=False)


def by_hand(theta_K, coordinate, area, config):
    """One network at one coordinate for one area, neuron by neuron."""
    weights, start = [], 0
    for rows, columns in config.shapes():
        part = theta_K[start : start + rows * columns].tolist()
        weights.append([part[r * columns : (r + 1) * columns] for r in range(rows)])
        start += rows * columns
    first, bias, *rest, last = weights
    area_weight, *rest = rest if config.conditioned else ([[0.0] * config.hidden_width], *rest)
    logit = math.log(area / (1 - area))
    hidden = [
        math.sin(
            config.w0_first
            * (coordinate[0] * first[0][d] + coordinate[1] * first[1][d] + bias[0][d])
            + area_weight[0][d] * logit / 2
        )
        for d in range(config.hidden_width)
    ]
    for weight, bias in zip(rest[::2], rest[1::2], strict=True):
        hidden = [
            math.sin(
                config.w0_hidden
                * (sum(h * weight[i][d] for i, h in enumerate(hidden)) + bias[0][d])
            )
            for d in range(config.hidden_width)
        ]
    return sum(h * last[i][0] for i, h in enumerate(hidden))


def random_networks(count, config=CONFIG):
    generator = torch.Generator().manual_seed(0)
    shape = (count, config.parameter_count)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("config", [CONFIG, SHARED])
def test_stacked_networks_equal_one_written_out_by_hand(config):
    theta = random_networks(3, config)
    coords = grid(centres(2, theta), centres(3, theta))
    areas = torch.tensor([[0.1, 0.4], [0.2, 0.3], [0.05, 0.9]], dtype=torch.float64)
    field = siren(theta, coords, areas, config)
    assert field.shape == (3, 2 if config.conditioned else 1, 6)
    field = field.expand(3, 2, 6)
    for n in range(3):
        for a in range(2):
            for p in range(6):
                expected = by_hand(theta[n], coords[p].tolist(), areas[n, a].item(), config)
                assert field[n, a, p].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_network_does_not_notice_its_neighbours(count):
    config = SirenConfig()
    theta = torch.stack([init_parameters(seed, config) for seed in range(8)])
    coords, areas = grid(centres(28, theta), centres(28, theta)), torch.full((8, 2), 0.2)

    def value_and_gradient(part):
        part = part.clone().requires_grad_()
        field = siren(part, coords, areas[: len(part)], config)
        return field.detach(), torch.autograd.grad(field.square().sum(), part)[0]

    field, gradient = value_and_gradient(theta)
    for first in (0, 8 - count):
        part = slice(first, first + count)
        few_field, few_gradient = value_and_gradient(theta[part])
        assert torch.equal(few_field, field[part])
        assert torch.equal(few_gradient, gradient[part])


@pytest.mark.parametrize("shared", [False, True])
def test_initial_weights_depend_on_the_seed_alone_and_keep_their_bounds(shared):
    config = SirenConfig(conditioned=not shared)
    low = (3 if shared else 4) * config.hidden_width
    torch.manual_seed(1)
    first = init_parameters(7, config)
    torch.manual_seed(2)
    torch.rand(3)
    assert torch.equal(first, init_parameters(7, config))
    assert not torch.equal(first, init_parameters(8, config))
    assert first[:low].abs().max() <= 0.5
    assert first[low:].abs().max() <= math.sqrt(6 / config.hidden_width)


def test_seeds_are_stable_over_machines_and_differ_in_every_part():
    assert stable_seed(0, "a", 0, 0) == 3740914843212505252
    seeds = {stable_seed(*key) for key in [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0)]}
    seeds |= {stable_seed(0, "a", 1, 0), stable_seed(0, "a", 0, 1)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        SirenConfig(sine_layers=0)
    with pytest.raises(ValueError, match="positive"):
        SirenConfig(w0_first=0.0)
