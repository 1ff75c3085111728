"""Claims: both heads, one class against another, in every game; against plain Python."""

import dataclasses
import math

import pytest
import torch

from inr_core import (
    InrConfig,
    MaskConfig,
    MicroBatch,
    ObjectiveConfig,
    OptimiseConfig,
    Scene,
    SirenConfig,
    class_scores,
    explain,
    log_removed,
    mask_scores,
    metrics,
)
from inr_core.game import baselines, claims_kept
from inr_core.game.objective import rewards
from inr_core.optimisation.evidence import path_maps

GENERATOR = torch.Generator().manual_seed(17)
TARGET, CONTRAST = torch.tensor([0, 3, 1]), torch.tensor([2, 1, 0])
HEADS = ("softmax", "sigmoid")


def scores(logits, head):
    """Of one image, in plain Python."""
    if head == "sigmoid":
        return [1 / (1 + math.exp(-z)) for z in logits]
    exps = [math.exp(z) for z in logits]
    return [e / sum(exps) for e in exps]


def reward(kept, removed, target, contrast, game, head, weight):
    """Of one mask: logits of the kept and of the removed image."""
    p, q = scores(kept, head), scores(removed, head)
    if contrast is None:
        inside, outside = math.log(p[target]), math.log(1 - q[target])
    else:
        inside = math.log(p[target]) - math.log(p[contrast])
        outside = math.log(q[contrast]) - math.log(q[target])
    return {
        "preservation": inside,
        "deletion": outside,
        "dual": inside + weight * outside,
    }[game]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("against", [None, CONTRAST])
@pytest.mark.parametrize("game", ["preservation", "deletion", "dual"])
def test_rewards_are_those_of_a_loop_over_masks(game, against, head):
    objective = ObjectiveConfig(game=game, deletion_weight=0.7)
    n, areas = 3, 2
    logits = torch.randn(2, n, areas, 5, generator=GENERATOR, dtype=torch.float64)
    sides = [logits[0]] * objective.keeps + [logits[1]] * objective.removes
    shown = torch.stack(sides, 1).flatten(0, 2)  # of a network the kept ones, then the removed
    found = rewards(shown, TARGET, objective, head, against)
    for network in range(n):
        wanted = [
            reward(
                logits[0, network, a].tolist(),
                logits[1, network, a].tolist(),
                TARGET[network].item(),
                None if against is None else against[network].item(),
                game,
                head,
                0.7,
            )
            for a in range(areas)
        ]
        assert found[network].item() == pytest.approx(sum(wanted) / areas)


@pytest.mark.parametrize("head", HEADS)
def test_bounded_rewards_are_logs_of_the_share_of_the_two_classes(head):
    objective = ObjectiveConfig(game="dual")
    logits = torch.randn(3, 2, 1, 5, generator=GENERATOR, dtype=torch.float64)
    found = rewards(logits.flatten(0, 2), TARGET, objective, head, CONTRAST, bounded=True)
    for n, (t, c) in enumerate(zip(TARGET.tolist(), CONTRAST.tolist(), strict=True)):
        p, q = (scores(side[0].tolist(), head) for side in logits[n])
        wanted = math.log(p[t] / (p[t] + p[c])) + math.log(q[c] / (q[t] + q[c]))
        assert found[n].item() == pytest.approx(wanted)
        assert found[n].item() < 0


def test_the_deletion_reward_of_a_sigmoid_head_does_not_cancel_in_float32():
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    reward_1 = log_removed(logits, torch.tensor([0]), "sigmoid")
    assert reward_1.item() == pytest.approx(-40)
    (gradient,) = torch.autograd.grad(reward_1.sum(), logits)
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 0.0]]))


def test_sigmoid_scores_are_of_each_class_for_itself():
    logits = torch.tensor([[2.0, 2.0, -1.0]])
    assert class_scores(logits, "sigmoid")[0].tolist() == pytest.approx(
        scores([2.0, 2.0, -1.0], "sigmoid")
    )


WEIGHT = 4 * torch.rand(4, 3 * 5 * 6, generator=GENERATOR, dtype=torch.float64) - 2


def classify(image_MCHW):
    return image_MCHW.flatten(1).double() @ WEIGHT.T


def scene(**more):
    rand = torch.rand(3, 2, 3, 5, 6, generator=GENERATOR, dtype=torch.float64)
    return Scene(
        image_NCHW=rand[:, 0],
        baseline_NLCHW=rand[:, 1:],
        target_N=torch.tensor([0, 2, 3]),
        pyramid=False,
        **more,
    )


@pytest.mark.parametrize("head", HEADS)
def test_scores_of_masks_come_with_those_of_the_contrast(head):
    world = scene(contrast_N=torch.tensor([1, 0, 2]), head=head)
    mask = (torch.rand(3, 2, 5, 6, generator=GENERATOR) > 0.5).byte() * 255
    found = mask_scores(mask, world, classify, MicroBatch(8))
    claims = claims_kept(found)
    for n in range(3):
        for a in range(2):
            keep = mask[n, a].double() / 255
            for side, m in enumerate((keep, 1 - keep)):
                shown = m * world.image_NCHW[n] + (1 - m) * world.baseline_NLCHW[n, 0]
                p = scores(classify(shown[None])[0].tolist(), head)
                own, other = p[world.target_N[n]], p[world.contrast_N[n]]
                assert found[side, n, a].item() == pytest.approx(own, rel=1e-5)
                assert found[2 + side, n, a].item() == pytest.approx(other, rel=1e-5)
                assert claims[side][n, a].item() == pytest.approx(own / (own + other), rel=1e-5)
    alone = mask_scores(mask, scene_without(world), classify, MicroBatch(8))
    assert torch.equal(alone, found[:2])


def scene_without(world):
    return dataclasses.replace(world, contrast_N=None)


@pytest.mark.parametrize("head", HEADS)
def test_path_gradients_sum_to_the_rise_of_the_log_ratio(head):
    world = scene(contrast_N=torch.tensor([1, 0, 2]), head=head)
    ones = torch.ones(3, 5, 6, dtype=torch.float64)
    relevance = path_maps(world, ones, lambda x: classify(x / 8), None, 400)[:, 0]
    for n in range(3):
        ratios = []
        for image in (world.image_NCHW[n], world.baseline_NLCHW[n, 0]):
            p = scores(classify(image[None] / 8)[0].tolist(), head)
            ratios.append(math.log(p[world.target_N[n]] / p[world.contrast_N[n]]))
        assert relevance[n].sum().item() == pytest.approx(ratios[0] - ratios[1], abs=1e-3)


SIZE = 32
PLACES = ((2, 2), (2, 20), (20, 2))  # of the evidence for class 0, for class 1, for both of them


def three_classes(image):
    """Logits by the brightness of places; what speaks for both 0 and 1 speaks against 2."""
    first, second, both = (image[:, 0, y : y + 10, x : x + 10].mean((1, 2)) for y, x in PLACES)
    return 8 * torch.stack([first + both, second + both, torch.full_like(both, 0.2)], 1)


def bright(*places):
    image = torch.zeros(1, 3, SIZE, SIZE)
    for y, x in places:
        image[:, :, y : y + 10, x : x + 10] = 1
    return image


CONFIG = InrConfig(
    areas=(0.1, 0.2),
    mask=MaskConfig(network=SirenConfig(hidden_width=16), stride=2),
    optimise=OptimiseConfig(steps=25),
)


def explained(images, config, contrast, ids=None, head="softmax", classify=three_classes):
    """For class 0."""
    p = class_scores(classify(images), head)
    given = {}
    if contrast is not None:
        given = {
            "contrast_B": torch.full((len(images),), contrast),
            "contrast_score_B": p[:, contrast],
        }
    return explain(
        images,
        torch.zeros(len(images), dtype=torch.long),
        p[:, 0],
        ids or [f"image-{n}" for n in range(len(images))],
        classify,
        config,
        seed=0,
        microbatch=MicroBatch(64),
        head=head,
        **given,
    )


def inside(explanation, place):
    """Share of the mask of area .1 within a place."""
    y, x = place
    mask = explanation.masks[0].double()
    return (mask[y : y + 10, x : x + 10].sum() / mask.sum()).item()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("game", ["preservation", "deletion", "dual"])
def test_against_another_class_the_mask_leaves_out_what_speaks_for_both(game, head):
    image = bright(*PLACES)
    config = dataclasses.replace(CONFIG, objective=ObjectiveConfig(game=game, contrast=1))
    ((found,),) = explained(image, config, 1, head=head)
    assert inside(found, PLACES[0]) > 0.6
    assert inside(found, PLACES[0]) > 5 * max(inside(found, p) for p in PLACES[1:])
    ((other,),) = explained(image, config, 2, head=head)  # both places speak against class 2
    assert inside(other, PLACES[0]) + inside(other, PLACES[2]) > 0.6
    for e, contrast in ((found, 1), (other, 2)):
        assert e.hard_claims == pytest.approx(hard_shares(e, image, contrast, head), abs=1e-5)
    enough = 0.9 * whole(image, head)
    pairs = zip(found.areas, found.hard_claims, strict=True)
    stored = min((a for a, share in pairs if share >= enough), default=None)
    if stored is None:
        assert found.minimal_area is None
    else:
        assert max([0.0, *(a for a in found.areas if a < stored)]) < found.minimal_area <= stored


def hard_shares(explanation, image, contrast, head):
    """Share of class 0 of the two with the top pixels of each mask kept, the others blurred."""
    behind = baselines(image, CONFIG.perturbation)[:, -1]
    found = []
    for mask, area in zip(explanation.masks, explanation.areas, strict=True):
        hard = metrics.top_area(mask[None, None] / 255, [area])[0]
        soft = metrics.feathered(hard[None].float())
        p = scores(three_classes(soft * image + (1 - soft) * behind)[0].tolist(), head)
        found.append(p[0] / (p[0] + p[contrast]))
    return found


def whole(image, head):
    """Share of class 0 of the first two."""
    p = scores(three_classes(image)[0].tolist(), head)
    return p[0] / (p[0] + p[1])


def test_of_several_images_each_is_as_if_alone():
    images = torch.cat([bright(*PLACES), bright(PLACES[0], PLACES[2])])
    config = dataclasses.replace(
        CONFIG, objective=ObjectiveConfig(contrast=1), restarts=2, optimise=OptimiseConfig(steps=8)
    )
    together = explained(images, config, 1, ["a", "b"])
    for n, name in enumerate("ab"):
        (alone,) = explained(images[n : n + 1], config, 1, [name])
        for one, other in zip(alone, together[n], strict=True):
            assert torch.equal(one.masks, other.masks) and one.scores == other.scores


def test_a_contrast_needs_its_classes():
    with pytest.raises(ValueError, match="belong together"):
        explained(bright(*PLACES), CONFIG, 1)
    config = dataclasses.replace(CONFIG, objective=ObjectiveConfig(contrast=1))
    with pytest.raises(ValueError, match="belong together"):
        explained(bright(*PLACES), config, None)


def test_a_round_ends_the_chain_where_the_contrast_is_ahead():
    config = dataclasses.replace(
        CONFIG,
        objective=ObjectiveConfig(contrast=1),
        areas=(0.2,),
        rounds=3,
        round_score=0.0,
    )

    def rather_1(image):  # where nothing is seen
        return three_classes(image) + torch.tensor([0.0, 0.1, 0.0])

    (found,) = explained(bright(*PLACES), config, 1, classify=rather_1)
    assert len(found) < 3  # nothing outside the first place speaks for 0 rather than for 1
    assert all(max(e.hard_claims) >= 0.5 for e in found[1:])


def test_a_contrast_that_is_clear_enough_ends_the_optimisation_early():
    objective = ObjectiveConfig(game="preservation", contrast=1)
    steps = []
    for enough in (None, -3.0):
        optimise = OptimiseConfig(steps=25, enough=enough)
        config = dataclasses.replace(CONFIG, objective=objective, optimise=optimise)
        ((found,),) = explained(bright(*PLACES), config, 1)
        steps.append(found.steps)
    assert steps[0] == 25 and steps[1] < 25
