"""Our objective on plain grids: against a plain loop, exact areas, better than chance."""

import pytest
import torch

from inr_core import (
    METHODS,
    MicroBatch,
    ObjectiveConfig,
    OptimiseConfig,
    gaussian_blur,
    log_kept,
    log_removed,
)
from inr_core.game.objective import outline_per_area
from inr_core.game.perturbation import baselines
from inr_core.game.scene import Scene
from inr_core.masks.mask import Canvas, exact_mask
from inr_core.peers import PixelsConfig, RandomConfig
from inr_core.peers.common import Task
from inr_core.peers.pixels import pixels_masks

SIZE, AREAS = 16, (0.1, 0.3)


def tiny_classifier():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=2),
        torch.nn.SiLU(),
        torch.nn.Flatten(1),
        torch.nn.Linear(6 * 36, 4),
    ).double()


def task_of(image, classify, config, microbatch):
    scene = Scene(
        image_NCHW=image,
        baseline_NLCHW=baselines(image, config.perturbation),
        target_N=torch.arange(len(image)) % 4,
        pyramid=False,
    )
    return Task(
        scene=scene,
        seeds=tuple(range(len(image))),
        classify=classify,
        module=torch.nn.Identity(),
        microbatch=MicroBatch(microbatch),
    )


def plain_start(image, baseline, classify, target, canvas):
    """Mean and early size of what log p rises by at 8 places of the path, each blurred, as z."""
    rises = []
    for place in range(8):
        seen = (baseline + (place + 0.5) / 8 * (image - baseline)).requires_grad_()
        log_p = torch.log_softmax(classify(seen[None]), 1)[0, target]
        rises.append(torch.autograd.grad(log_p, seen)[0] * (image - baseline))
    total = 0.0
    for relevance in (sum(rises).sum(0), sum(rise.abs() for rise in rises[:3]).sum(0)):
        smooth = gaussian_blur(relevance[None, None], 0.09 * SIZE)
        total = total + (smooth - smooth.mean()) / smooth.std(correction=0)
    cells = torch.nn.functional.avg_pool2d(total, 2).flatten()
    mean = (canvas.weight_P * cells).sum()
    deviation = (canvas.weight_P * (cells - mean).square()).sum().add(1e-6).sqrt()
    return (cells - mean) / deviation


def plain_loop(task, n, config):
    """All areas of one image, its loss in one expression of autograd, torch's own Adam."""
    image, baseline = task.image_BCHW[n], task.strongest_BCHW[n]
    canvas = Canvas.of((SIZE, SIZE), config.stride, image)
    field = plain_start(image, baseline, task.classify, task.target_B[n], canvas)
    field = field.expand(1, 2, -1).clone().requires_grad_()
    area = torch.tensor([AREAS], dtype=torch.float64)
    adam = torch.optim.Adam([field], lr=1.0)
    target = task.target_B[n : n + 1]
    for step in range(config.optimise.steps):
        adam.param_groups[0]["lr"] = config.optimise.rate(step)
        temperature = config.optimise.temperature(step, config.temperature)
        coarse = exact_mask(field, area, canvas.weight_P, temperature)
        full = canvas.upsample(coarse)[0]
        energy = 0.0
        for a in range(2):
            kept = task.classify((full[a] * image + (1 - full[a]) * baseline)[None])
            removed = task.classify(((1 - full[a]) * image + full[a] * baseline)[None])
            ratio = outline_per_area(canvas.unflatten(coarse))[0, a]
            energy = energy + log_kept(kept, target) + log_removed(removed, target) - 0.2 * ratio
        adam.zero_grad()
        (-energy.sum() / 2).backward()
        adam.step()
    return canvas.upsample(exact_mask(field.detach(), area, canvas.weight_P, config.temperature))[0]


@pytest.mark.parametrize("microbatch", [1, 9, 64])
def test_the_masks_equal_those_of_a_plain_loop(microbatch):
    config = PixelsConfig(
        areas=AREAS,
        stride=2,
        objective=ObjectiveConfig(outline_weight=0.2),
        optimise=OptimiseConfig(steps=4, warmup=1),
    )
    image = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2)).double()
    task = task_of(image, tiny_classifier(), config, microbatch)
    found = pixels_masks(task, config)
    for n in range(3):
        torch.testing.assert_close(found[n], plain_loop(task, n, config), atol=1e-5, rtol=1e-5)


def one_place(image):
    """Class 1 if there is texture in the upper left."""
    fine = (image - torch.nn.functional.avg_pool2d(image, 3, 1, 1)).square().sum(1)
    evidence = 12 * fine[:, 4:14, 4:14].mean((1, 2)) - 6
    return torch.stack([-evidence, evidence], 1)


def explained(method, config):
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    ((e,),) = METHODS[method].explain(
        board.expand(1, 3, 32, 32).clone(),
        torch.tensor([1]),
        torch.tensor([1.0]),
        ["a"],
        one_place,
        config,
        seed=0,
        microbatch=MicroBatch(64),
        module=torch.nn.Identity(),
    )
    return e


def test_the_place_is_found_with_exact_areas_and_better_than_by_chance():
    areas = (0.05, 0.1, 0.2)
    chance = explained("random", RandomConfig(areas=areas))
    found = explained("pixels", PixelsConfig(areas=areas, stride=2))
    assert (found.masks.double().mean((1, 2)) / 255 - torch.tensor(areas)).abs().max() <= 0.001
    assert found.objective > chance.objective + 0.1
    hard = found.masks[1] > 127
    assert hard[2:16, 2:16].sum() / hard.sum() > 0.9


@pytest.mark.parametrize("name", ["repel_weight", "area_weight"])
def test_settings_that_would_decide_nothing_are_refused(name):
    with pytest.raises(ValueError, match=f"objective.{name} decides nothing"):
        PixelsConfig(objective=ObjectiveConfig(**{name: 5.0}))


@pytest.mark.parametrize("bad", [{"stride": 0}, {"temperature": 0.0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        PixelsConfig(**bad)
