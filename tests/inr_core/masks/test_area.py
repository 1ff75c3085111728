"""The exact threshold and the vecsort penalty, re-derived."""

import pytest
import torch

from inr_core.masks.area import area_sequence, stratified_areas, threshold, vecsort_penalty

GENERATOR = torch.Generator().manual_seed(3)


def problem(networks=2, areas=3, cells=20):
    field = torch.randn(networks, areas, cells, generator=GENERATOR, dtype=torch.float64)
    weight = torch.rand(networks, areas, cells, generator=GENERATOR, dtype=torch.float64)
    weight = weight / weight.sum(-1, keepdim=True)
    area = torch.tensor([[0.03, 0.15, 0.33], [0.5, 0.05, 0.9]], dtype=torch.float64)
    return field, area, weight


@pytest.mark.parametrize("temperature", [1.0, 0.05, 0.01])
def test_the_mask_has_its_area(temperature):
    field, area, weight = problem()
    tau = threshold(field, area, weight, temperature)
    mask = torch.sigmoid((field - tau) / temperature)
    torch.testing.assert_close((weight * mask).sum(-1), area, atol=1e-9, rtol=0)


def test_the_gradient_through_the_threshold_is_that_of_finite_differences():
    field, area, weight = problem(cells=6)
    field.requires_grad_()

    def mask(field):
        return torch.sigmoid((field - threshold(field, area, weight, 0.5)) / 0.5)

    assert torch.autograd.gradcheck(mask, field, eps=1e-5, atol=1e-6)


def test_moving_the_whole_field_changes_nothing():
    field, area, weight = problem()
    torch.testing.assert_close(
        threshold(field + 5, area, weight, 0.1), threshold(field, area, weight, 0.1) + 5
    )


def test_vecsort_penalty_against_a_plain_loop():
    mask = torch.rand(2, 3, 10, generator=GENERATOR, dtype=torch.float64)
    area = torch.tensor([[0.1, 0.2, 0.5]] * 2, dtype=torch.float64)
    penalty = vecsort_penalty(mask, area)
    for n in range(2):
        for a in range(3):
            ranked = sorted(mask[n, a].tolist(), reverse=True)
            ones = round(area[n, a].item() * 10)
            expected = sum((v - (i < ones)) ** 2 for i, v in enumerate(ranked)) / 10
            assert penalty[n, a].item() == pytest.approx(expected)


def test_vecsort_penalty_is_zero_for_a_binary_mask_of_the_area_only():
    mask = (torch.arange(10) < 3).double().expand(1, 2, 10)
    penalty = vecsort_penalty(mask, torch.tensor([[0.3, 0.4]], dtype=torch.float64))
    assert penalty[0, 0] == 0
    assert penalty[0, 1] == pytest.approx(0.1)


def test_one_area_falls_into_every_stratum():
    uniform = torch.rand(50, 4, generator=GENERATOR, dtype=torch.float64)
    areas = stratified_areas(uniform, 0.02, 0.6)
    low, high = torch.logit(torch.tensor([0.02, 0.6], dtype=torch.float64))
    edges = torch.sigmoid(torch.linspace(low, high, 5, dtype=torch.float64))
    for stratum in range(4):
        assert (areas[:, stratum] >= edges[stratum] - 1e-12).all()
        assert (areas[:, stratum] <= edges[stratum + 1] + 1e-12).all()


@pytest.mark.parametrize("steps", [7, 30, 100])
def test_the_sequence_of_areas_is_even_in_its_logit(steps):
    areas = area_sequence(steps, 2, 0.03, 0.45)
    assert areas.shape == (steps, 2)
    low, high = torch.logit(torch.tensor([0.03, 0.45])).tolist()
    place = ((torch.logit(areas) - low) / (high - low)).flatten().sort().values
    even = (torch.arange(2 * steps) + 0.5) / (2 * steps)
    assert (place - even).abs().max() < 1.5 / steps  # random draws differ by about 1 / sqrt(steps)
    assert (areas[:, 0] < areas[:, 1]).all()
