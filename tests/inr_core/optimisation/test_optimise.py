"""The loop against a plain one: a single network, autograd through everything."""

import dataclasses

import pytest
import torch

from inr_core.device.microbatch import MicroBatch
from inr_core.game.objective import ObjectiveConfig, log_kept, log_removed, outline_per_area
from inr_core.masks.mask import Canvas, MaskConfig, coarse_mask
from inr_core.optimisation.optimise import draw_levels
from inr_core.optimisation.repulsion import ALLOWED, Others
from inr_core.optimisation.schedule import OptimiseConfig
from tests.networks import (
    NETWORK,
    SIZE,
    STEPS,
    networks_of,
    optimised,
    scene_of,
    schedule_of,
    tiny_classifier,
)


def plain_loop(n, networks, areas, classify, mask, objective):
    """One network, its loss written in one line of autograd, torch's own Adam."""
    theta, scene = networks.theta_NK[n : n + 1].clone().requires_grad_(), networks.scene
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
            baseline = scene.baseline_NLCHW[n, networks.level_NSA[n, step, a]]
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
            for other in networks.others.theta_NRK[n, : networks.others.count_N[n]]:
                earlier = coarse_mask(other[None], area, free, canvas, mask)
                share = (canvas.weight_P * coarse * earlier).sum() / area.sum()
                loss = loss + objective.repel_weight * max(share - ALLOWED, 0 * share)
        adam.zero_grad()
        (loss / STEPS.areas_per_step).backward()
        adam.step()
    return theta.detach()[0]


@pytest.mark.parametrize("game", ["preservation", "deletion", "dual"])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_networks_in_slots_equal_a_plain_loop_over_single_ones(game, slots):
    networks, schedule, classify = networks_of(3), schedule_of(), tiny_classifier()
    mask = MaskConfig(network=NETWORK, stride=2, temperature=0.1)
    objective = ObjectiveConfig(game=game, deletion_weight=0.7, outline_weight=0.2)
    samples = STEPS.areas_per_step * (2 if game == "dual" else 1)
    found, steps = optimised(
        networks, schedule, classify, mask, objective, MicroBatch(slots * samples)
    )
    assert steps.tolist() == [STEPS.steps] * 3
    for n in range(3):
        expected = plain_loop(n, networks, schedule.area_RSA[0], classify, mask, objective)
        torch.testing.assert_close(found[n], expected, atol=1e-7, rtol=1e-6)


def test_restarts_that_repel_each_other_equal_a_plain_loop():
    """Three networks at different steps of an image's chain: none, one and two earlier ones."""
    networks, schedule, classify = networks_of(3), schedule_of(), tiny_classifier()
    near = networks.theta_NK[:, None].repeat(1, 2, 1)  # not far from where each begins
    near[:, 1] *= 0.9
    others = Others(near, torch.tensor([0, 1, 2]))
    networks = dataclasses.replace(networks, others=others)
    mask = MaskConfig(network=NETWORK, stride=2, temperature=0.1)
    found = {}
    for weight in (0.0, 5.0):
        objective = ObjectiveConfig(game="preservation", repel_weight=weight)
        given = classify, mask, objective
        found[weight], _ = optimised(networks, schedule, *given, MicroBatch(6))
        for n in range(3):
            expected = plain_loop(n, networks, schedule.area_RSA[0], *given)
            torch.testing.assert_close(found[weight][n], expected, atol=1e-7, rtol=1e-6)
    moved = (found[5.0] - found[0.0]).abs().amax(1)
    assert moved[0] == 0 and moved[1:].min() > 1e-3


def test_deletion_of_a_mask_sees_what_preservation_of_its_complement_sees():
    scene, level = scene_of(2), torch.zeros(2, 1, dtype=torch.long)
    mask = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).double()
    complement = scene.shown(1 - mask, level)
    by_hand = (1 - mask) * scene.image_NCHW + mask * scene.baseline_NLCHW[:, 0]
    torch.testing.assert_close(complement, by_hand)


def test_the_objective_rises():
    classify, mask, areas = tiny_classifier(), MaskConfig(network=NETWORK, stride=2), (0.1, 0.4)
    steps = OptimiseConfig(steps=40, areas_per_step=2)
    networks, objective = networks_of(2, steps=steps), ObjectiveConfig(outline_weight=0.0)
    found, _ = optimised(
        networks, schedule_of(steps, 0.05), classify, mask, objective, MicroBatch(8)
    )
    rewards = []
    for theta in (networks.theta_NK, found):
        area = theta.new_tensor([areas] * 2)
        canvas = Canvas.of((SIZE, SIZE), mask.stride, theta)
        coarse = coarse_mask(theta, area, theta.new_zeros(1, 1, 1), canvas, mask)
        level = torch.zeros(2, 2, dtype=torch.long)
        full = canvas.upsample(coarse)
        rewards.append(networks.scene.play(full, level, classify, ObjectiveConfig(game="dual")))
    assert (rewards[1] > rewards[0]).all()


def test_random_choices_come_from_the_networks_own_seed():
    levels, alone = draw_levels([5, 6, 7], 3, 4, 2), draw_levels([6], 3, 4, 2)
    assert levels.shape == (3, 4, 2)
    assert torch.equal(levels[1:2], alone)
    assert set(levels.flatten().tolist()) <= {0, 1, 2}


def test_schedules():
    config = OptimiseConfig(steps=10, learning_rate=1.0, warmup=1, temperature_start=1.0)
    assert config.rate(0) == pytest.approx(0.5)
    assert config.rate(5) == pytest.approx(0.5)
    assert config.temperature(0, 0.05) == 1
    assert config.temperature(9, 0.05) == pytest.approx(0.05)
