"""Rewards and the perimeter, re-derived."""

import math

import pytest
import torch

from inr_core.objective import (
    ObjectiveConfig,
    final_objective,
    log_kept,
    log_removed,
    perimeter_ratio,
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


def test_perimeter_of_a_disc_is_1_and_of_two_discs_larger():
    size, radius = 400, 80
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")

    def disc(cy, cx, r):
        distance = ((y - cy) ** 2 + (x - cx) ** 2).double().sqrt()
        return (r - distance).div(8).sigmoid()  # a soft edge, so that the grid hardly matters

    one = disc(200, 200, radius)
    two = disc(110, 110, radius / math.sqrt(2)) + disc(290, 290, radius / math.sqrt(2))
    masks = torch.stack([one, two])[None]
    ratio = perimeter_ratio(masks, masks.mean((2, 3)))
    assert ratio[0, 0].item() == pytest.approx(1, abs=0.02)
    assert ratio[0, 1].item() == pytest.approx(math.sqrt(2), abs=0.03)


def test_perimeter_of_a_flat_mask_is_0_with_a_finite_gradient():
    mask = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    ratio = perimeter_ratio(mask, torch.tensor([[0.5]]))
    ratio.sum().backward()
    assert ratio.item() < 1e-2
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
        ObjectiveConfig(perimeter_weight=-1.0)
