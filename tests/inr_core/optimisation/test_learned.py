"""A learned start: what it sees, what it gives back untrained, how masks are held against it."""

import math

import pytest
import torch

from inr_core.optimisation.learned import (
    CLUES,
    TEMPERATURE,
    LearnedStart,
    cells_of,
    coarse_clues,
    disagreement,
)


def maps(count=2, size=(56, 84)):
    generator = torch.Generator().manual_seed(0)
    clue = torch.rand(count, len(CLUES), *size, generator=generator)
    return clue, torch.rand(count, *size, generator=generator)


def moved():
    """One whose last layer is not zero."""
    torch.manual_seed(1)
    learned = LearnedStart()
    torch.nn.init.normal_(learned.last.weight)
    return learned


def test_untrained_it_gives_the_evidence_back():
    clue, evidence = maps()
    found = LearnedStart()(clue, evidence)
    cells = torch.nn.functional.avg_pool2d(evidence, 2)  # 28 x 42 cells
    assert found.shape == evidence.shape
    for n in range(2):
        own = (cells[n] - cells[n].mean()) / cells[n].std(correction=0)
        coarse = torch.nn.functional.avg_pool2d(found[n][None], 2)[0]
        assert torch.corrcoef(torch.stack([own.flatten(), coarse.flatten()]))[0, 1] > 0.8
    seen = coarse_clues(clue, evidence)
    torch.testing.assert_close(LearnedStart().coarse(seen), seen[:, -1])


def test_clues_are_means_over_cells_standardised_and_cut():
    clue, evidence = maps(1)
    clue[0, 3, 0, 0] = 1e4  # one place that would outweigh all others
    clue[0, 4] = 7.0  # a map of equal values
    seen = coarse_clues(clue, evidence)[0]
    assert seen.shape == (len(CLUES) + 1, 28, 42)
    by_hand = clue[0, 0].reshape(28, 2, 42, 2).mean((1, 3))
    by_hand = (by_hand - by_hand.mean()) / by_hand.std(correction=0)
    torch.testing.assert_close(seen[0], by_hand, rtol=1e-4, atol=1e-5)
    assert seen[3].max() == 5
    assert not seen[4].any()


@pytest.mark.parametrize(
    ("size", "cells"),
    [((224, 224), (28, 28)), ((224, 448), (28, 56)), ((16, 16), (16, 16)), ((30, 1), (30, 1))],
)
def test_cells_keep_the_proportion_and_are_no_more_than_pixels(size, cells):
    assert cells_of(torch.zeros(1, *size)) == cells


def test_an_image_does_not_notice_its_neighbours():
    clue, evidence = maps(3)
    learned = moved()
    together = learned(clue, evidence)
    for n in range(3):
        torch.testing.assert_close(
            learned(clue[n : n + 1], evidence[n : n + 1]), together[n : n + 1], rtol=1e-4, atol=1e-4
        )


def test_what_is_constant_stays_constant_up_to_the_border():
    """Beyond it the outermost cells go on: the border is no clue."""
    flat = torch.zeros(1, len(CLUES), 28, 28), torch.zeros(1, 28, 28)
    found = moved()(*flat)
    assert (found.max() - found.min()).item() == pytest.approx(0, abs=1e-5)


def test_disagreement_is_the_cross_entropy_with_the_exact_mask():
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    wanted = torch.rand(2, 2, 5, 4, generator=generator, dtype=torch.float64)
    areas = torch.tensor([[0.2, 0.5], [0.1, 0.4]], dtype=torch.float64)
    found = disagreement(field, wanted, areas)
    for n in range(2):
        level = (field[n] - field[n].mean()) / field[n].std(correction=0)
        losses = []
        for a in range(2):
            low, high = -50.0, 50.0  # the threshold by bisection
            for _ in range(200):
                tau = (low + high) / 2
                mask = 1 / (1 + torch.exp(-(level - tau) / TEMPERATURE))
                low, high = (tau, high) if mask.mean() > areas[n, a] else (low, tau)
            for m, w in zip(mask.flatten().tolist(), wanted[n, a].flatten().tolist(), strict=True):
                losses.append(-w * math.log(m) - (1 - w) * math.log(1 - m))
        assert found[n].item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_learning_moves_towards_the_masks():
    """Evidence says left, the masks say right, which another clue knows."""
    clue, evidence = maps(8, (28, 28))
    place = torch.linspace(-1, 1, 28).expand(8, 28, 28)
    clue[:, 2], evidence = place, -place
    seen = coarse_clues(clue, evidence)
    areas = torch.full((8, 1), 0.5)
    masks = (place > 0).float()[:, None]
    learned = LearnedStart()
    optimizer = torch.optim.Adam(learned.parameters(), 3e-3)
    before = disagreement(learned.coarse(seen), masks, areas).mean()
    for _ in range(40):
        loss = disagreement(learned.coarse(seen), masks, areas).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < before / 4
