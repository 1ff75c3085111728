"""Localisation against sets of pixels in plain Python."""

import math

import pytest
import torch

from inr_core.metrics import (
    ceiling,
    chance,
    hard_precision,
    object_iou,
    pointing_hit,
    recall,
    relevance_rank_accuracy,
    soft_precision,
    top_area,
)
from inr_core.metrics.localisation import peak

GENERATOR = torch.Generator().manual_seed(24)
AREAS = (0.1, 0.3, 0.6)


def rand(*shape):
    return torch.rand(shape, generator=GENERATOR, dtype=torch.float64)


def pixels(mask_HW):
    return {tuple(p) for p in mask_HW.nonzero().tolist()}


def test_set_metrics_are_those_of_sets():
    mask, truth = rand(2, 3, 6, 8), rand(2, 6, 8) > 0.7
    hard = top_area(mask, AREAS)
    for n in range(2):
        s = pixels(truth[n])
        for a in range(3):
            b = pixels(hard[n, a])
            assert hard_precision(hard, truth)[n, a].item() == len(b & s) / len(b)
            assert recall(hard, truth)[n, a].item() == len(b & s) / len(s)
            assert object_iou(hard, truth)[n, a].item() == len(b & s) / len(b | s)
            flat = mask[n, a].flatten().tolist()
            best = sorted(range(48), key=lambda p, v=flat: -v[p])[: len(s)]
            share = len({divmod(p, 8) for p in best} & s) / len(s)
            assert relevance_rank_accuracy(mask, truth)[n, a].item() == share
            inside = sum(mask[n, a][p].item() for p in s)
            assert soft_precision(mask, truth)[n, a].item() == pytest.approx(inside / sum(flat))


def test_chance_and_ceiling_by_hand():
    truth = torch.zeros(1, 10, 10, dtype=torch.bool)
    truth[0, :2] = True
    assert chance(truth).item() == pytest.approx(0.2)
    assert ceiling(truth, AREAS)[0].tolist() == pytest.approx([1, 2 / 3, 1 / 3])


def test_the_object_itself_as_mask_is_perfect_and_its_complement_worthless():
    truth = torch.zeros(1, 10, 10, dtype=torch.bool)
    truth[0, 2:5, 3:8] = True
    mask = truth[:, None].double()
    hard = top_area(mask, (0.15,))
    assert torch.equal(hard[:, 0], truth)
    for metric in (hard_precision, recall, object_iou):
        assert metric(hard, truth).item() == 1
        assert metric(~hard, truth).item() == 0
    for metric in (soft_precision, relevance_rank_accuracy):
        assert metric(mask, truth).item() == 1
        assert metric(1 - mask, truth).item() == 0
    assert pointing_hit(mask, truth).item() == 1


def test_a_flat_mask_has_the_precision_of_chance():
    truth = rand(1, 10, 10) > 0.6
    flat = torch.full((1, 1, 10, 10), 0.3, dtype=torch.float64)
    torch.testing.assert_close(soft_precision(flat, truth)[:, 0], chance(truth))


def test_hard_precision_reaches_the_ceiling_and_recall_1():
    truth = torch.zeros(1, 10, 10, dtype=torch.bool)
    truth[0, :3] = True
    mask = truth[:, None].expand(1, 3, 10, 10).double()
    hard = top_area(mask, (0.1, 0.3, 0.6))
    torch.testing.assert_close(hard_precision(hard, truth), ceiling(truth, (0.1, 0.3, 0.6)))
    assert recall(hard, truth)[0].tolist() == [1 / 3, 1, 1]


def bump(row, column, size=(56, 80)):
    y = torch.arange(size[0], dtype=torch.float64)[:, None] - row
    x = torch.arange(size[1], dtype=torch.float64) - column
    return torch.exp(-(y * y + x * x) / 30)


def test_the_peak_is_that_of_the_sum_over_areas():
    one, two = bump(15, 20), bump(40, 60)
    mask = torch.stack((one, 0.4 * two, 0.4 * two, 0.4 * two))[None]
    assert peak(mask).tolist() == [[40, 60]]


def test_pointing_looks_at_the_smoothed_sum():
    mask = 0.8 * bump(15, 20)
    mask[45, 70] = 1  # a lone pixel is highest, but not once it is smoothed
    assert peak(mask[None, None]).tolist() == [[15, 20]]


@pytest.mark.parametrize(("distance", "hit"), [(0, 1), (3, 1), (4, 0), (10, 0)])
def test_a_hit_lies_within_15_pixels_in_224(distance, hit):
    truth = torch.zeros(1, 56, 80, dtype=torch.bool)
    truth[0, 20:25, 10 : 40 - distance + 1] = True  # 15 px of 224 are 3.75 of 56
    assert pointing_hit(bump(22, 40)[None, None], truth).item() == hit


def test_pointing_measures_euclidean_distance():
    truth = torch.zeros(1, 56, 80, dtype=torch.bool)
    truth[0, 22 + 3, 40 + 3] = True  # 4.24 pixels away, 3 in each direction
    assert pointing_hit(bump(22, 40)[None, None], truth).item() == 0
    truth[0, 22 + 3, 40 + 2] = True  # 3.61
    assert pointing_hit(bump(22, 40)[None, None], truth).item() == 1


def test_of_tied_maxima_one_is_taken():
    flat = torch.ones(1, 2, 32, 32, dtype=torch.float64)
    ((row, column),) = peak(flat).tolist()
    assert (row, column) != (0, 0)
    truth = torch.zeros(1, 32, 32, dtype=torch.bool)
    truth[0, (row + 16) % 32, (column + 16) % 32] = True
    assert pointing_hit(flat, truth).item() == 0  # although some maximum lies in it


def test_rounding_errors_of_the_smoothing_break_no_tie():
    ramp = torch.zeros(32, 48, dtype=torch.float64)
    ramp[10:22] = 1  # the same in every column, once smoothed
    found = {tuple(peak((scale * ramp)[None, None])[0].tolist()) for scale in (1, 0.7, 0.3, 0.11)}
    assert len(found) == 1


def test_without_an_object_nothing_is_defined():
    mask, truth = rand(1, 1, 6, 6), torch.zeros(1, 6, 6, dtype=torch.bool)
    for metric in (recall, hard_precision, object_iou):
        assert math.isnan(metric(top_area(mask, (0.2,)), truth).item())
    assert chance(truth).isnan().all() and ceiling(truth, (0.2,)).isnan().all()
    assert soft_precision(mask, truth).isnan().all()
    assert relevance_rank_accuracy(mask, truth).isnan().all()
    assert pointing_hit(mask, truth).isnan().all()
    assert soft_precision(0 * mask, ~truth).isnan().all()
