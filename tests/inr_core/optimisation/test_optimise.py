"""The loop against a plain one: a single network, autograd through everything."""

import dataclasses

import pytest
import torch

from inr_core.device.microbatch import MicroBatch
from inr_core.game.objective import ObjectiveConfig, log_kept, log_removed, outline_per_area
from inr_core.game.perturbation import PerturbationConfig, baselines
from inr_core.game.scene import Scene
from inr_core.masks.mask import Canvas, MaskConfig, coarse_mask
from inr_core.masks.siren import SirenConfig, init_parameters
from inr_core.optimisation.networks import Networks
from inr_core.optimisation.optimise import Steps, draw_levels, optimise
from inr_core.optimisation.repulsion import ALLOWED, Others
from inr_core.optimisation.schedule import OptimiseConfig, Schedule
from inr_core.optimisation.slots import Slots
from inr_core.optimisation.step import SETTLED

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


def networks_of(count, scene=None, steps=STEPS):
    theta = torch.stack([init_parameters(seed, NETWORK) for seed in range(count)]).double()
    return Networks(
        theta_NK=theta,
        round_N=torch.zeros(count, dtype=torch.long),
        previous_NJK=theta.new_zeros(count, 0, theta.shape[1]),
        others=Others(theta.new_zeros(count, 0, theta.shape[1]), torch.zeros(count).long()),
        level_NSA=draw_levels(range(count), 2, steps.steps, steps.areas_per_step),
        scene=scene or scene_of(count),
    )


def schedule_of(steps=STEPS, temperature=0.1, device="cpu"):
    like = torch.zeros((), dtype=torch.float64, device=device)
    return Schedule.of(steps, [(0.05, 0.4), (0.1, 0.3)], temperature, like)


def optimised(networks, schedule, classify, mask, objective, microbatch, fixed=False):
    """Parameters and steps taken, in the networks' order."""
    steps = Steps(
        schedule=schedule,
        classify=classify,
        mask=mask,
        objective=objective,
        microbatch=microbatch,
        fixed=fixed,
    )
    theta, taken = torch.zeros_like(networks.theta_NK), [0] * len(networks)

    def finished(tasks, theta_NK, steps):
        theta[tasks] = theta_NK
        for n, count in zip(tasks, steps, strict=True):
            assert not taken[n], "a network is optimised once"
            taken[n] = count
        return []

    optimise(range(len(networks)), networks.of, finished, steps)
    return theta, torch.tensor(taken)


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


def test_a_network_with_enough_reward_leaves_its_slot_and_no_other_notices():
    """The first network's target is what the classifier always says."""

    def classify(image):
        return logits_of(image) + 9 * torch.tensor([1.0, 0.0, 0.0, 0.0])

    logits_of = tiny_classifier()
    steps = OptimiseConfig(steps=20, areas_per_step=2, enough=-0.2, cooldown=4)
    objective = ObjectiveConfig(game="preservation")
    mask = MaskConfig(network=NETWORK, stride=2)
    networks, schedule = networks_of(4, steps=steps), schedule_of(steps)
    found, taken = optimised(networks, schedule, classify, mask, objective, MicroBatch(4))
    assert taken.tolist() == [SETTLED + 4, 20, 20, 20]
    for n in range(4):
        alone, count = optimised(
            networks.map(lambda tensor, n=n: tensor[n : n + 1]),
            schedule,
            classify,
            mask,
            objective,
            MicroBatch(4),
        )
        assert count[0] == taken[n]
        torch.testing.assert_close(alone[0], found[n], atol=1e-9, rtol=1e-9)


def test_slots_used_again_and_after_running_out_of_memory_give_the_same():
    networks, schedule, logits_of = networks_of(4), schedule_of(), tiny_classifier()
    mask, objective = MaskConfig(network=NETWORK, stride=2), ObjectiveConfig(game="dual")
    limit = [100]

    def classify(image):
        if len(image) > limit[0]:
            raise torch.OutOfMemoryError
        return logits_of(image)

    microbatch = MicroBatch(4 * 6)
    first, _ = optimised(networks, schedule, classify, mask, objective, microbatch)
    (slots,) = microbatch.kept.values()
    again, _ = optimised(networks, schedule, classify, mask, objective, microbatch)
    assert list(microbatch.kept.values()) == [slots]
    limit[0] = 2 * 6
    halved, _ = optimised(networks, schedule, classify, mask, objective, microbatch)
    assert microbatch.images == 2 * 6
    torch.testing.assert_close(again, first, atol=0, rtol=0)
    torch.testing.assert_close(halved, first, atol=1e-9, rtol=1e-9)


def test_a_network_that_jumps_sees_the_last_steps_of_the_schedule():
    seen = []

    def classify(image):
        seen.append(image.detach().clone())
        return (
            image.new_tensor([9.0, 0, 0, 0]).expand(len(image), -1)
            + 0 * image.mean((1, 2, 3))[:, None]
        )

    steps = OptimiseConfig(steps=20, areas_per_step=2, enough=-0.2, cooldown=4)
    networks = networks_of(1, steps=steps)
    objective = ObjectiveConfig(game="preservation", outline_weight=0.0)
    mask = MaskConfig(network=NETWORK, stride=2)
    found, _ = optimised(networks, schedule_of(steps), classify, mask, objective, MicroBatch(2))
    torch.testing.assert_close(found, networks.theta_NK)  # no gradient, so nothing moves
    canvas = Canvas.of((SIZE, SIZE), 2, found)
    free, scene = found.new_zeros(1, 1, 1), networks.scene
    assert len(seen) == SETTLED + 4
    for image, step in zip(seen, [*range(SETTLED), *range(16, 20)], strict=True):
        area = schedule_of(steps).area_RSA[0, step][None]
        coarse = coarse_mask(found, area, free, canvas, mask, steps.temperature(step, 0.1))
        shown = scene.shown(canvas.upsample(coarse), networks.level_NSA[:, step])
        torch.testing.assert_close(image, shown)


def test_a_step_never_waits_for_the_device():
    """On the meta device there are no values: whatever asks for one raises."""
    steps = OptimiseConfig(steps=6, areas_per_step=2, enough=-0.2)
    generator = torch.Generator().manual_seed(0)
    networks, objective = networks_of(3, steps=steps), ObjectiveConfig(game="dual")
    taken = torch.randn(networks.theta_NK.shape, generator=generator)[:, None].double()
    others = Others(taken, torch.tensor([0, 1, 1]))
    networks = dataclasses.replace(networks, previous_NJK=taken, others=others)

    def classify(image):
        return image.mean((2, 3)) @ torch.ones(3, 4, dtype=image.dtype, device=image.device)

    def one_type(tensor):  # as on a GPU
        return tensor.double() if tensor.is_floating_point() else tensor

    mask, meta = MaskConfig(network=NETWORK, stride=1), torch.device("meta")
    networks = networks.map(lambda tensor: one_type(tensor).to(meta))
    slots = Slots(networks, schedule_of(steps, device=meta), classify, mask, objective)
    slots.put([0, 2], networks.map(lambda tensor: tensor[:2]))
    slots.step()
    assert slots.held.theta_NK.device == meta
    with pytest.raises(NotImplementedError, match="meta"):  # torch's own, for a value that is asked
        slots.finished([0])


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
    assert microbatch.images == 4  # one network of 4 images
    assert seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_a_single_network_that_does_not_fit_is_an_error():
    def work(part):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        MicroBatch(4).run(work, 2, images_each=4)
