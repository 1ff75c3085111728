"""EP against direct loops, and on a classifier that looks at one place."""

import math

import pytest
import torch

from inr_core import METHODS, MicroBatch
from inr_core.game.perturbation import baselines
from inr_core.game.scene import Scene
from inr_core.masks.area import vecsort_penalty
from inr_core.masks.mask import Canvas
from inr_core.peers import EpConfig
from inr_core.peers.common import Task
from inr_core.peers.ep import ep_masks, flat_kernel, smooth_max

SIZE = 32


def random_cells(h, w):
    return torch.rand(1, 1, h, w, generator=torch.Generator().manual_seed(0)).double()


def test_the_smooth_max_convolution_equals_a_direct_loop():
    h, w, radius = 3, 5, 0.7
    cells = random_cells(h, w)
    found = smooth_max(cells, flat_kernel(radius, cells), 20.0).view(h, w)
    for y in range(h):
        for x in range(w):
            above = below = 0.0
            for down in range(-2, 3):  # 28 / 10.5 radii of .7 cells
                for right in range(-2, 3):
                    row, column = min(max(y + down, 0), h - 1), min(max(x + right, 0), w - 1)
                    beyond = max(0, math.hypot(down, right) / radius - 1)
                    value = math.exp(-(beyond**2) / 2) * cells[0, 0, row, column].item()
                    above += value * math.exp(20 * value)
                    below += math.exp(20 * value)
            assert found[y, x].item() == pytest.approx(above / below, abs=1e-12)


def test_a_cold_smooth_maximum_is_the_maximum_and_equal_cells_stay_equal():
    cells = random_cells(8, 8)
    kernel = flat_kernel(0.9, cells)
    found = smooth_max(cells, kernel, 1e4).view(8, 8)
    assert (found >= cells[0, 0] - 1e-3).all() and found.max() <= cells.max()
    assert found[cells[0, 0] == cells.max()].item() == pytest.approx(cells.max().item())
    flat = smooth_max(torch.ones(1, 1, 8, 8), kernel.float(), 20.0)
    torch.testing.assert_close(flat, flat[..., :1].expand_as(flat))


def test_one_lit_cell_covers_as_much_as_with_the_published_implementation():
    """3.33 % of the image, by a probe of that one; cells of 7 pixels, cut at 28."""
    config = EpConfig()
    cells = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    cells[..., 16, 16] = 1
    kernel = flat_kernel(config.radius * 224 / 7, cells)
    assert kernel.shape == (9, 9)
    mask = smooth_max(cells, kernel, config.coldness)
    canvas = Canvas.of((224, 224), 7, cells)
    assert canvas.upsample(mask).mean().item() == pytest.approx(0.0333, abs=2e-4)


def test_the_weight_of_the_area_grows_as_published():
    config = EpConfig()
    assert config.weight(0) == 300
    assert config.weight(1) / config.weight(0) == pytest.approx(1.0035)
    assert config.weight(800) == pytest.approx(4909, rel=1e-3)


def test_the_published_blurs():
    sigmas = [sigma * 224 for sigma in EpConfig().perturbation.sigmas]
    assert len(sigmas) == 7 and sigmas[-1] == pytest.approx(20)
    assert [b - a for a, b in zip(sigmas, sigmas[1:], strict=False)] == pytest.approx(
        [sigmas[0]] * 6
    )


def one_place(image):
    """Class 1 if there are stripes in the upper half, in the middle (flips change nothing)."""
    evidence = 30 * image[:, :, 4:14, 11:21].square().mean((1, 2, 3)) - 7.5
    return torch.stack([-evidence, evidence], 1)


def stripes():
    return torch.sin(torch.arange(SIZE) * math.pi / 4).expand(1, 3, SIZE, SIZE).clone()


def task_of(image, classify, config, microbatch=64):
    scene = Scene(
        image_NCHW=image,
        baseline_NLCHW=baselines(image, config.perturbation),
        target_N=torch.ones(len(image), dtype=torch.long),
        pyramid=True,
    )
    return Task(
        scene=scene,
        seeds=tuple(range(len(image))),
        classify=classify,
        module=torch.nn.Identity(),
        microbatch=MicroBatch(microbatch),
    )


def plain_look(mask, step, area, image, config):
    """The image behind one mask, pixel by pixel, and the mask's penalty."""
    blurs = [image[0], *baselines(image, config.perturbation)[0]]
    shown = torch.zeros_like(image[0])
    for y in range(SIZE):
        for x in range(SIZE):
            depth = (1 - mask[y, x]) * 7
            low = min(int(depth), 6)
            part = depth - low
            shown[:, y, x] = (1 - part) * blurs[low][:, y, x] + part * blurs[low + 1][:, y, x]
    if step % 2 == 0:
        shown = shown.flip(2)
    reference = torch.zeros(SIZE * SIZE, dtype=mask.dtype)
    reference[round((1 - area) * SIZE * SIZE) :] = 1
    shuffle = torch.randperm(SIZE * SIZE, generator=torch.Generator().manual_seed(0))
    penalty = (mask.flatten()[shuffle].sort().values - reference).square().mean()
    return shown, penalty


def plain_step(cells, step, area, image, config, classify, canvas, kernel, momentum):
    """One update of one mask, every line as in the paper; the dual game subtracts the rest."""
    cells = cells.clone().requires_grad_()
    mask = canvas.upsample(smooth_max(cells, kernel, config.coldness))[0, 0]
    shown, penalty = plain_look(mask, step, area, image, config)
    energy = classify(shown[None])[0, 1] - 300 * 1.0035**step * penalty
    if config.game == "dual":
        energy = energy - classify(plain_look(1 - mask, step, area, image, config)[0][None])[0, 1]
    (gradient,) = torch.autograd.grad(-energy, cells)
    momentum = gradient if momentum is None else 0.9 * momentum + 0.1 * gradient
    return (cells.detach() - config.learning_rate * momentum).clamp(0, 1), momentum


@pytest.mark.parametrize("game", ["preservation", "dual"])
def test_steps_equal_plain_ones_of_a_single_mask(game):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 5, stride=3),
        torch.nn.Tanh(),
        torch.nn.Flatten(1),
        torch.nn.Linear(400, 2),
    )
    classify = layers.double()
    image = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
    config = EpConfig(areas=(0.1, 0.3), steps=3, cells=4, learning_rate=0.05, game=game)
    found = ep_masks(task_of(image, classify, config), config)
    canvas = Canvas.of((SIZE, SIZE), 8, image)
    kernel = flat_kernel(config.radius * SIZE / 8, image)
    for n in range(2):
        for a, area in enumerate(config.areas):
            cells, momentum = torch.ones(1, 1, 4, 4, dtype=torch.float64), None
            for step in range(3):
                cells, momentum = plain_step(
                    cells, step, area, image[n : n + 1], config, classify, canvas, kernel, momentum
                )
            expected = canvas.upsample(smooth_max(cells, kernel, config.coldness))[0, 0]
            torch.testing.assert_close(found[n, a], expected, atol=1e-9, rtol=1e-9)


def test_masks_reach_their_area_and_find_the_place():
    config = EpConfig(areas=(0.1, 0.2), cells=16)
    masks = ep_masks(task_of(stripes(), one_place, config), config)[0]
    for mask, area in zip(masks, config.areas, strict=True):
        assert mask.mean().item() == pytest.approx(area, abs=0.02)
        assert mask[4:14, 11:21].mean() > 0.7 > 0.2 > mask[16:].mean()
    ((e,),) = METHODS["ep"].explain(
        stripes(),
        torch.tensor([1]),
        torch.tensor([1.0]),
        ["a"],
        one_place,
        config,
        seed=0,
        microbatch=MicroBatch(8),
        module=torch.nn.Identity(),
    )
    assert e.kept[1] > 0.8 and e.removed[1] < 0.2


def test_the_area_term_is_that_of_the_paper():
    mask = torch.tensor([[[0.2, 0.9, 0.4, 1.0]]])
    expected = (0.2**2 + 0.4**2 + 0.1**2 + 0) / 4
    assert vecsort_penalty(mask, torch.tensor([[0.5]])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"cells": 1},
        {"radius": 0.0},
        {"momentum": 1.0},
        {"coldness": 0.0},
        {"game": "deletion"},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        EpConfig(**bad)
