"""Random masks: their areas, their kinds, and what is seen behind them."""

import pytest
import torch

from inr_core import gaussian_blur
from pipeline.copies.masking import masked, random_masks

SIZE = (56, 56)


def masks(count, least=0.3, seed=0):
    return random_masks(count, SIZE, least, torch.Generator().manual_seed(seed))


def test_areas_are_uniform_and_values_in_range():
    found = masks(400)
    assert found.shape == (400, 1, *SIZE) and found.min() >= 0 and found.max() <= 1
    areas = found.mean((1, 2, 3))
    assert areas.min() > 0.25 and areas.max() > 0.97
    # of a uniform distribution on .3..1; 400 draws are within .03 of the mean but once in 300
    assert areas.mean().item() == pytest.approx(0.65, abs=0.03)
    assert areas.std().item() == pytest.approx(0.7 / 12**0.5, abs=0.02)
    assert masks(50, least=0.9).mean((1, 2, 3)).min() > 0.85


def test_they_depend_on_the_seed_alone():
    assert torch.equal(masks(5), masks(5)) and not torch.equal(masks(5), masks(5, seed=1))


def test_about_half_are_patches_of_whole_cells():
    patches = 0
    for mask in masks(200):
        hard = mask[0] > 0.5
        patches += any(_has_cells(hard, side) for side in (4, 7, 14))  # 10 does not divide 56
    assert 50 < patches < 110  # half of three quarters of them


def _has_cells(hard, side):
    cells = hard.view(side, SIZE[0] // side, side, SIZE[1] // side).float().mean((1, 3))
    return ((cells < 0.01) | (cells > 0.99)).all()


def test_the_rest_is_blurred_or_in_the_mean_colour():
    image = torch.rand(2, 3, 32, 32)
    half = torch.zeros(2, 1, 32, 32)
    half[..., :16] = 1
    shown = masked(image, half, torch.tensor([True, False]))
    assert torch.equal(shown[..., :16], image[..., :16])
    blurred = gaussian_blur(image[:1], 0.09 * 32)[0]
    assert torch.allclose(shown[0, ..., 16:], blurred[..., 16:])
    mean = image[1].mean((1, 2))[:, None, None].expand(3, 32, 16)
    assert torch.allclose(shown[1, ..., 16:], mean)
