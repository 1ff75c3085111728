"""Slots: networks that leave them early, memory that runs out, and no wait for the device."""

import dataclasses

import pytest
import torch

from inr_core.device.microbatch import MicroBatch
from inr_core.game.objective import ObjectiveConfig
from inr_core.masks.mask import Canvas, MaskConfig, coarse_mask
from inr_core.optimisation.repulsion import Others
from inr_core.optimisation.schedule import OptimiseConfig
from inr_core.optimisation.slots import Slots
from inr_core.optimisation.step import SETTLED
from tests.networks import NETWORK, SIZE, networks_of, optimised, schedule_of, tiny_classifier


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
