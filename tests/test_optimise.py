"""The loop against a plain one: a single network, autograd through everything."""

import pytest
import torch

from inr_core.area import area_sequence
from inr_core.mask import Canvas, MaskConfig, coarse_mask
from inr_core.microbatch import MicroBatch
from inr_core.objective import ObjectiveConfig, log_kept, log_removed, outline_per_area
from inr_core.optimise import OptimiseConfig, Scene, draw_levels, optimise
from inr_core.perturbation import PerturbationConfig, baselines
from inr_core.siren import SirenConfig, init_parameters

NETWORK = SirenConfig(hidden_width=8, sine_layers=2)
STEPS = OptimiseConfig(steps=4, areas_per_step=3, learning_rate=0.05, warmup=1)
SIZE = 16


def tiny_classifier(classes=4):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=2),
        torch.nn.SiLU(),
        torch.nn.Flatten(1),
        torch.nn.Linear(6 * 36, classes),
    ).double()
    return module.requires_grad_(False)


def scene_of(count, pyramid=False):
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(count, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)
    config = PerturbationConfig(kind="pyramid" if pyramid else "blur", sigmas=(0.1, 0.3))
    target = torch.arange(count) % 4
    return Scene(
        image_NCHW=image, baseline_NLCHW=baselines(image, config), target_N=target, pyramid=pyramid
    )


def start(count):
    theta = torch.stack([init_parameters(seed, NETWORK) for seed in range(count)]).double()
    areas = area_sequence(STEPS.steps, STEPS.areas_per_step, 0.05, 0.4).double()
    return theta, areas, draw_levels(range(count), 2, STEPS.steps, STEPS.areas_per_step)


def plain_loop(n, theta_NK, areas, levels, scene, classify, mask, objective):
    """One network, its loss written in one line of autograd, torch's own Adam."""
    theta = theta_NK[n : n + 1].clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=1.0)
    canvas = Canvas.of((SIZE, SIZE), mask.stride, theta)
    image, target = scene.image_NCHW[n], scene.target_N[n : n + 1]
    for step in range(STEPS.steps):
        adam.param_groups[0]["lr"] = STEPS.rate(step)
        loss = 0.0
        for a in range(STEPS.areas_per_step):
            area = areas[step, a].view(1, 1)
            free = area.new_zeros(1, 1, len(canvas.weight_P))
            temperature = STEPS.temperature(step, mask.temperature)
            coarse = coarse_mask(theta, area, free, canvas, mask, temperature)
            full = canvas.upsample(coarse)[0]
            baseline = scene.baseline_NLCHW[n, levels[step, n, a]]
            reward = 0.0
            if objective.game != "deletion":
                kept = classify((full * image + (1 - full) * baseline)[None])
                reward = reward + log_kept(kept, target)
            if objective.game != "preservation":
                removed = classify(((1 - full) * image + full * baseline)[None])
                weight = 1.0 if objective.game == "deletion" else objective.deletion_weight
                reward = reward + weight * log_removed(removed, target)
            ratio = outline_per_area(canvas.unflatten(coarse))[0, 0]
            loss = loss - (reward - objective.outline_weight * ratio).sum()
        adam.zero_grad()
        (loss / STEPS.areas_per_step).backward()
        adam.step()
    return theta.detach()[0]


@pytest.mark.parametrize("game", ["preservation", "deletion", "dual"])
def test_the_batched_loop_equals_a_plain_loop_over_single_networks(game):
    scene, classify = scene_of(3), tiny_classifier()
    theta, areas, levels = start(3)
    mask = MaskConfig(network=NETWORK, stride=2, temperature=0.1)
    objective = ObjectiveConfig(game=game, deletion_weight=0.7, outline_weight=0.2)
    none = theta.new_zeros(3, 0, theta.shape[1])
    found, history = optimise(
        theta, none, areas, levels, scene, classify, mask, objective, STEPS, MicroBatch(7)
    )
    assert history.shape == (STEPS.steps, 3)
    for n in range(3):
        expected = plain_loop(n, theta, areas, levels, scene, classify, mask, objective)
        torch.testing.assert_close(found[n], expected, atol=1e-7, rtol=1e-6)


def test_deletion_of_a_mask_sees_what_preservation_of_its_complement_sees():
    scene, level = scene_of(2), torch.zeros(2, 1, dtype=torch.long)
    mask = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).double()
    complement = scene.shown(1 - mask, level)
    by_hand = (1 - mask) * scene.image_NCHW + mask * scene.baseline_NLCHW[:, 0]
    torch.testing.assert_close(complement, by_hand)


def test_the_objective_rises():
    scene, classify = scene_of(2), tiny_classifier()
    config = OptimiseConfig(steps=40, areas_per_step=2)
    theta = torch.stack([init_parameters(seed, NETWORK) for seed in range(2)]).double()
    areas, levels = area_sequence(40, 2, 0.1, 0.4), draw_levels([0, 1], 1, 40, 2)
    mask = MaskConfig(network=NETWORK, stride=2)
    _, history = optimise(
        theta,
        theta.new_zeros(2, 0, theta.shape[1]),
        areas.double(),
        levels,
        scene,
        classify,
        mask,
        ObjectiveConfig(),
        config,
        MicroBatch(8),
    )
    assert (history[-10:].mean(0) > history[:5].mean(0)).all()


def test_random_choices_come_from_the_networks_own_seed():
    levels, alone = draw_levels([5, 6, 7], 3, 4, 2), draw_levels([6], 3, 4, 2)
    assert levels.shape == (4, 3, 2)
    assert torch.equal(levels[:, 1:2], alone)
    assert set(levels.flatten().tolist()) <= {0, 1, 2}


def test_schedules():
    config = OptimiseConfig(steps=10, learning_rate=1.0, warmup=1, temperature_start=1.0)
    assert config.rate(0) == pytest.approx(0.5)
    assert config.rate(5) == pytest.approx(0.5)
    assert config.temperature(0, 0.05) == 1
    assert config.temperature(9, 0.05) == pytest.approx(0.05)


def test_out_of_memory_halves_the_micro_batch_and_gives_the_same_result():
    seen = []

    def work(part):
        seen.append(part.stop - part.start)
        if part.stop - part.start > 2:
            raise torch.OutOfMemoryError
        return list(range(part.start, part.stop))

    microbatch = MicroBatch(40)
    parts = microbatch.run(work, 7, images_each=4)
    assert sum(parts, []) == list(range(7))
    assert microbatch.images == 8  # two networks of 4 images
    assert seen == [7, 3, 1, 1, 1, 1, 1, 1, 1] or max(seen[2:]) <= 2


def test_a_single_network_that_does_not_fit_is_an_error():
    def work(part):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        MicroBatch(4).run(work, 2, images_each=4)
