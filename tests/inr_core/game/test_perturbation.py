"""Perturbation: polarity, blur and pyramid against obvious versions."""

import math

import pytest
import torch

from inr_core.game.perturbation import PerturbationConfig, baselines, gaussian_blur, perturb

GENERATOR = torch.Generator().manual_seed(5)
LEVEL = torch.zeros(2, 3, dtype=torch.long)


def images(n=2):
    return torch.randn(n, 3, 8, 9, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["blur", "pyramid", "mean", "custom"])
def test_mask_1_gives_the_image_and_mask_0_the_baseline(kind):
    image = images()
    config = PerturbationConfig(kind=kind, sigmas=(0.1, 0.3))
    custom = images(1)[0]
    baseline = baselines(image, config, custom)
    pyramid = kind == "pyramid"
    level = LEVEL + baseline.shape[1] - 1
    ones = torch.ones(2, 3, 8, 9, dtype=torch.float64)
    kept = perturb(image, baseline, ones, level, pyramid=pyramid)
    gone = perturb(image, baseline, 0 * ones, level, pyramid=pyramid)
    torch.testing.assert_close(kept, image[:, None].expand_as(kept))
    torch.testing.assert_close(gone, baseline[:, -1:].expand_as(gone))


def test_each_mask_meets_the_baseline_of_its_level():
    image = images()
    baseline = baselines(image, PerturbationConfig(sigmas=(0.1, 0.3)))
    level = torch.tensor([[0, 1, 0], [1, 1, 0]])
    mask = torch.rand(2, 3, 8, 9, generator=GENERATOR, dtype=torch.float64)
    shown = perturb(image, baseline, mask, level)
    for n in range(2):
        for a in range(3):
            expected = mask[n, a] * image[n] + (1 - mask[n, a]) * baseline[n, level[n, a]]
            torch.testing.assert_close(shown[n, a], expected)


def test_pyramid_interpolates_between_neighbouring_levels():
    image = images(1)
    baseline = baselines(image, PerturbationConfig(kind="pyramid", sigmas=(0.1, 0.3)))
    values = torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64)
    mask = values.view(1, 4, 1, 1).expand(1, 4, 8, 9)
    shown = perturb(image, baseline, mask, torch.zeros(1, 4, dtype=torch.long), pyramid=True)[0]
    weak, strong = baseline[0]
    torch.testing.assert_close(shown[1], (image[0] + weak) / 2)
    torch.testing.assert_close(shown[2], weak)
    torch.testing.assert_close(shown[3], (weak + strong) / 2)


def test_blur_against_a_direct_sum():
    image, sigma = images(1), 0.7
    blurred = gaussian_blur(image, sigma)
    radius = math.ceil(3 * sigma)

    def clamp(value, top):
        return min(max(value, 0), top)

    weights = [math.exp(-0.5 * (d / sigma) ** 2) for d in range(-radius, radius + 1)]
    total = 0.0
    for i, wi in enumerate(weights):
        for j, wj in enumerate(weights):
            row, column = clamp(2 + i - radius, 7), clamp(8 + j - radius, 8)
            total += wi * wj * image[0, 1, row, column].item()
    assert blurred[0, 1, 2, 8].item() == pytest.approx(total / sum(weights) ** 2)


def test_mean_baseline_is_each_images_own_mean_colour():
    image = images()
    baseline = baselines(image, PerturbationConfig(kind="mean"))
    assert baseline.shape == (2, 1, 3, 8, 9)
    assert baseline[1, 0, 2, 4, 4].item() == pytest.approx(image[1, 2].mean().item())


def test_a_custom_baseline_must_be_given():
    with pytest.raises(ValueError, match="needs a baseline"):
        baselines(images(), PerturbationConfig(kind="custom"))


@pytest.mark.parametrize("bad", [{"kind": "noise"}, {"sigmas": ()}, {"sigmas": (0.2, 0.1)}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        PerturbationConfig(**bad)
