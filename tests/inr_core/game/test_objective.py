"""Rewards and the perimeter, re-derived."""

import math

import pytest
import torch

from inr_core.game.objective import (
    ObjectiveConfig,
    final_objective,
    log_kept,
    log_removed,
    outline_per_area,
)

GENERATOR = torch.Generator().manual_seed(9)


def test_rewards_are_log_p_and_log_1_minus_p():
    logits = torch.randn(5, 4, generator=GENERATOR, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 1])
    p = torch.softmax(logits, 1)[torch.arange(5), target]
    torch.testing.assert_close(log_kept(logits, target), p.log())
    torch.testing.assert_close(log_removed(logits, target), (1 - p).log())


def test_the_deletion_reward_does_not_cancel_when_the_score_is_1_in_float32():
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    reward = log_removed(logits, torch.tensor([0]))
    assert reward.item() == pytest.approx(math.log(2) - 40)
    (gradient,) = torch.autograd.grad(reward.sum(), logits)
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 0.5, 0.5]]))


def disc(size, cy, cx, radius):
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    distance = ((y - cy) ** 2 + (x - cx) ** 2).double().sqrt()
    return (radius - distance).div(8).sigmoid()  # a soft edge, so that the grid hardly matters


def test_the_outline_per_area_of_one_disc_of_two_and_of_a_halved_one():
    one, radius = disc(400, 200, 200, 80), 80 / math.sqrt(2)
    two = disc(400, 110, 110, radius) + disc(400, 290, 290, radius)
    half = disc(400, 0, 200, 80)  # the straight side lies on the border of the image
    masks = torch.stack([one, two, half])[None]
    area = masks.mean((2, 3))
    ratio = outline_per_area(masks)[0] * masks.square().mean((2, 3))[0] / area[0]  # soft edges
    for found, wanted in zip(
        (ratio * area[0].sqrt()).tolist(),
        (1, math.sqrt(2), (math.pi + 2) / (math.sqrt(2) * math.pi)),
        strict=True,
    ):
        assert found == pytest.approx(wanted, rel=0.03)


def test_a_softer_mask_of_the_same_area_is_no_rounder():
    hard = disc(400, 200, 200, 60)
    soft = disc(400, 200, 200, 60 * math.sqrt(2)) / 2  # half the height, twice the area
    ratio = outline_per_area(torch.stack([hard, soft])[None])[0]
    assert ratio[1] > 1.3 * ratio[0]


@pytest.mark.parametrize("radius", [20, 40, 60])
def test_the_staircase_of_a_hard_disc_is_longer_than_its_edge(radius):
    places = torch.arange(200, dtype=torch.float64) - 99.5
    hard = (places[:, None].square() + places.square() <= radius**2).double()
    ratio = outline_per_area(hard[None, None]).item() * math.sqrt(hard.mean().item())
    assert 1.15 < ratio < 1.2


def test_a_flat_mask_has_no_outline_inside_and_a_finite_gradient():
    mask = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    ratio = outline_per_area(mask)
    ratio.sum().backward()
    # two borders of 8 cells at 0.5 as one difference, two with the corner cells beside them
    border = 4 * 8 * 0.5
    wanted = border / (2 * math.sqrt(math.pi) * 8 * 0.5**2)
    assert ratio.item() == pytest.approx(wanted, rel=0.05)
    assert mask.grad.isfinite().all()


def test_the_final_objective_is_higher_for_better_masks_in_every_game():
    kept, removed = torch.tensor([[0.8, 0.6], [0.2, 0.2]]), torch.tensor([[0.1, 0.3], [0.5, 0.5]])
    expected = {"preservation": [0.7, 0.2], "deletion": [0.8, 0.5], "dual": [0.75, 0.35]}
    for game, values in expected.items():
        torch.testing.assert_close(final_objective(kept, removed, game), torch.tensor(values))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="game"):
        ObjectiveConfig(game="both")
    with pytest.raises(ValueError, match="negative"):
        ObjectiveConfig(outline_weight=-1.0)
