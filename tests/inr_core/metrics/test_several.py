"""Several explanations: pairs in plain Python, and the two extremes."""

import itertools

import pytest
import torch

from inr_core.metrics import (
    context_reliance,
    keeping_count,
    mask_overlap,
    pairwise_iou,
    soft_precision,
    top_area,
    union_coverage,
)

GENERATOR = torch.Generator().manual_seed(27)
AREAS = (0.2, 0.5)


def masks(count=3):
    return torch.rand(count, 2, 5, 6, generator=GENERATOR, dtype=torch.float64)


def test_pairs_against_loops():
    mask = masks()
    hard = top_area(mask, AREAS)
    for a in range(2):
        flat = [mask[j, a].flatten().tolist() for j in range(3)]
        sets = [{tuple(p) for p in hard[j, a].nonzero().tolist()} for j in range(3)]
        iou = [len(s & t) / len(s | t) for s, t in itertools.combinations(sets, 2)]
        assert pairwise_iou(hard)[a].item() == pytest.approx(sum(iou) / 3)
        overlap = [
            sum(map(min, s, t)) / min(sum(s), sum(t)) for s, t in itertools.combinations(flat, 2)
        ]
        assert mask_overlap(mask)[a].item() == pytest.approx(sum(overlap) / 3)
        cover = sum(max(values) for values in zip(*flat, strict=True)) / 30
        assert union_coverage(mask)[a].item() == pytest.approx(cover)
        assert union_coverage(hard.double())[a].item() == pytest.approx(len(set.union(*sets)) / 30)


def test_equal_masks_agree_and_disjoint_ones_do_not():
    half = torch.zeros(1, 4, 4, dtype=torch.bool)
    half[:, :2] = True
    equal, disjoint = torch.stack((half, half)), torch.stack((half, ~half))
    assert pairwise_iou(equal).item() == 1 and pairwise_iou(disjoint).item() == 0
    assert mask_overlap(equal.double()).item() == 1 and mask_overlap(disjoint.double()).item() == 0
    assert union_coverage(equal.double()).item() == 0.5
    assert union_coverage(disjoint.double()).item() == 1


def test_a_mask_within_another_overlaps_fully():
    large = torch.zeros(1, 4, 4, dtype=torch.float64)
    large[:, :2] = 1
    small = large.clone()
    small[:, 0] = 0
    assert mask_overlap(torch.stack((small, large))).item() == 1
    assert pairwise_iou(torch.stack((small, large)).bool()).item() == 0.5


def test_one_explanation_has_no_pair():
    assert pairwise_iou(top_area(masks(1), AREAS)).isnan().all()
    assert mask_overlap(masks(1)).isnan().all()


def test_explanations_that_keep_the_score_are_counted():
    kept = torch.tensor([[0.4, 0.8], [0.5, 0.73], [0.71, 0.9]])
    assert keeping_count(kept, 0.8).tolist() == [0, 3]
    assert keeping_count(kept, 0.8, share=0.6).tolist() == [2, 3]


def test_context_reliance_is_what_lies_outside_the_object():
    mask, truth = masks(), torch.rand(3, 5, 6, generator=GENERATOR) > 0.5
    outside = (mask * ~truth[:, None]).sum((2, 3)) / mask.sum((2, 3))
    torch.testing.assert_close(context_reliance(mask, truth), outside)
    torch.testing.assert_close(
        context_reliance(mask, truth) + soft_precision(mask, truth), outside.new_ones(3, 2)
    )
    inside = truth[:, None].double()
    assert context_reliance(inside, truth).max() == 0
    assert context_reliance(1 - inside, truth).min() == 1
