"""Faithfulness: formulas by hand, and scores against one classifier call per image."""

import math

import pytest
import torch

from inr_core import MicroBatch, Scene, mask_scores
from inr_core.metrics import (
    drop_percent,
    gain,
    increase_percent,
    minimal_areas,
    score_masks,
    score_ratio,
    top1_kept,
    top_area,
)

GENERATOR = torch.Generator().manual_seed(22)
AREAS = (0.1, 0.2, 0.4)


def rand(*shape):
    return torch.rand(shape, generator=GENERATOR, dtype=torch.float64)


WEIGHT = 6 * rand(4, 3 * 5 * 6) - 3


def classify(image_MCHW):
    return image_MCHW.flatten(1).double() @ WEIGHT.T


def scene(n=3, levels=2):
    return Scene(
        image_NCHW=rand(n, 3, 5, 6),
        baseline_NLCHW=rand(n, levels, 3, 5, 6),
        target_N=torch.tensor([0, 2, 3])[:n],
        pyramid=False,
    )


def seen(image_CHW, target):
    """(score, is first) of one image, in plain Python."""
    logits = classify(image_CHW[None])[0].tolist()
    exps = [math.exp(v - max(logits)) for v in logits]
    return exps[target] / sum(exps), max(logits) == logits[target]


@pytest.mark.parametrize("images", [1, 6, 100])
def test_scores_are_those_of_one_image_at_a_time(images):
    world, mask = scene(), rand(3, 3, 5, 6)
    mask[:2, 0] = 1
    first = classify(world.image_NCHW).argmax(1)
    world.target_N[:2] = torch.stack((first[0], (first[1] + 1) % 4))
    scores = score_masks(mask, world, classify, MicroBatch(images))
    assert scores.top1[0, 0] and not scores.top1[1, 0]
    for n in range(3):
        image, base, target = world.image_NCHW[n], world.baseline_NLCHW[n, 1], world.target_N[n]
        for a in range(3):
            m = mask[n, a]
            kept, is_first = seen(m * image + (1 - m) * base, target.item())
            removed, _ = seen((1 - m) * image + m * base, target.item())
            assert scores.kept[n, a].item() == pytest.approx(kept, abs=1e-6)
            assert scores.removed[n, a].item() == pytest.approx(removed, abs=1e-6)
            assert scores.top1[n, a].item() is is_first


def test_mask_1_keeps_the_image_and_removes_all_of_it():
    world = scene()
    scores = score_masks(torch.ones(3, 1, 5, 6), world, classify, MicroBatch(8))
    for n in range(3):
        target = world.target_N[n].item()
        assert scores.kept[n, 0].item() == pytest.approx(
            seen(world.image_NCHW[n], target)[0], abs=1e-6
        )
        baseline = world.baseline_NLCHW[n, 1]
        assert scores.removed[n, 0].item() == pytest.approx(seen(baseline, target)[0], abs=1e-6)


def test_hard_masks_and_stored_masks_are_scored_alike():
    world, mask = scene(), rand(3, 3, 5, 6)
    binary = top_area(mask, AREAS).to(mask.dtype)
    scores = score_masks(binary, world, classify, MicroBatch(8))
    kept, removed = mask_scores((255 * binary).byte(), world, classify, MicroBatch(8))
    torch.testing.assert_close(scores.kept, kept)
    torch.testing.assert_close(scores.removed, removed)


def test_ratios_drop_increase_and_gain_by_hand():
    kept, full = torch.tensor([[0.2, 0.5], [0.6, 0.9]]), torch.tensor([0.5, 0.8])

    def check(found, expected):
        torch.testing.assert_close(found, torch.tensor(expected), check_dtype=False)

    check(score_ratio(kept, full), [[0.4, 1.0], [0.75, 1.125]])
    check(drop_percent(kept, full), [[60.0, 0.0], [25.0, 0.0]])
    check(increase_percent(kept, full), [[0.0, 0.0], [0.0, 100.0]])
    check(gain(kept, full), [[0.0, 0.0], [0.0, 0.5]])


def test_scores_of_0_and_1_divide_nothing_by_zero():
    kept, full = torch.tensor([[0.3], [0.3]]), torch.tensor([0.0, 1.0])
    assert score_ratio(kept, full)[0].isnan() and drop_percent(kept, full)[0].isnan()
    assert gain(kept, full)[1].item() == 0


def test_top1_counts_only_images_that_had_it():
    found = top1_kept(torch.tensor([[True, False], [True, True]]), torch.tensor([True, False]))
    assert found[0].tolist() == [1, 0]
    assert found[1].isnan().all()


def test_minimal_area_is_the_smallest_that_keeps_90_percent():
    kept = torch.tensor([[0.1, 0.5, 0.4], [0.1, 0.2, 0.3], [0.88, 0.9, 1.0]])
    full = torch.tensor([0.5, 0.5, 0.98])
    found = minimal_areas(AREAS, kept, full)
    assert found[0] == 0.2 and found[1].isnan() and found[2] == 0.2
