"""Images behind coarse masks in few kernels equal interpolating, turning round and blending."""

import pytest
import torch
from torch.nn import functional

from inr_core.game.perturbation import perturb
from inr_core.game.reveal import reveal, upsampling

RANDOM = torch.Generator().manual_seed(0)
SIDES = [(True, True), (True, False), (False, True)]


def scene_of(levels, size):
    image = torch.randn(2, 3, *size, generator=RANDOM)
    baseline = torch.randn(2, levels, 3, *size, generator=RANDOM)
    return image, baseline, torch.randint(levels, (2, 2), generator=RANDOM)


def plain(mask, image, baseline, level, sides):
    """Each step by torch's own functions."""
    size = image.shape[-2:]
    full = functional.interpolate(mask, size, mode="bilinear", align_corners=False)
    chosen = [side for side, is_on in zip((full, 1 - full), sides, strict=True) if is_on]
    shown = perturb(image, baseline, torch.cat(chosen, 1), level.repeat(1, len(chosen)))
    return shown.flatten(0, 1)


@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("size", [(14, 9), (4, 4)], ids=str)
def test_images_and_gradients_are_the_plain_ones(sides, levels, size):
    scene = scene_of(levels, size)
    found = []
    for function in (reveal, plain):
        mask = torch.rand(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
        shown = function(mask, *scene, sides)
        weight = torch.linspace(-1, 2, shown.numel()).view(shown.shape)
        (gradient,) = torch.autograd.grad((weight * shown).sum(), mask)
        found.append((shown, gradient))
    assert found[0][0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-5)


def test_images_of_half_the_bytes_are_blended_in_full_precision():
    image, baseline, level = scene_of(1, (8, 8))
    half = image.bfloat16(), baseline.bfloat16()
    mask = torch.rand(2, 2, 4, 4, generator=RANDOM).requires_grad_()
    shown = reveal(mask, *half, level, (True, True))
    wanted = plain(mask, *(tensor.float() for tensor in half), level, (True, True))
    assert shown.dtype == torch.bfloat16
    assert torch.equal(shown, wanted.bfloat16())
    seen = torch.randn(wanted.shape, generator=RANDOM).bfloat16()
    (gradient,) = torch.autograd.grad(shown, mask, seen)
    (plain_gradient,) = torch.autograd.grad(wanted, mask, seen.float())
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, plain_gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cells, pixels", [(5, 12), (56, 224), (57, 227), (4, 4), (1, 3)])
def test_the_matrix_is_torchs_interpolation(cells, pixels):
    unit = torch.eye(cells)[None]
    line = functional.interpolate(unit, pixels, mode="linear", align_corners=False)
    torch.testing.assert_close(upsampling(cells, pixels, unit), line[0].T, atol=1e-5, rtol=0)
