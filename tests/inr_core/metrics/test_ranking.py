"""Ranks and hard masks against sorting in plain Python."""

import pytest
import torch

from inr_core import gaussian_blur
from inr_core.metrics import hard_masks, rank_pixels, top_area

GENERATOR = torch.Generator().manual_seed(21)
AREAS = (0.1, 0.29, 0.5)


def masks(n=2, a=3, h=10, w=10):
    return torch.rand(n, a, h, w, generator=GENERATOR, dtype=torch.float64)


def test_hard_masks_are_the_highest_pixels_of_each_mask():
    mask = masks()
    hard = top_area(mask, AREAS)
    for n in range(2):
        for a, count in enumerate((10, 29, 50)):  # 0.29 * 100 is 28.999... in floating point
            values = sorted(mask[n, a].flatten().tolist(), reverse=True)
            assert hard[n, a].sum() == count
            assert mask[n, a][hard[n, a]].min().item() == values[count - 1]


def test_a_pixel_is_lost_to_the_floor_only_when_it_is_not_whole():
    mask = masks(1, 1, 7, 5)
    assert [top_area(mask, (a,)).sum().item() for a in (0.1, 0.2, 1.0)] == [3, 7, 35]
    assert top_area(mask, torch.tensor([0.2])).sum() == 7  # 0.2 in float32 is not 0.2


def test_ties_are_broken_once_and_not_by_reading_order():
    flat = torch.ones(1, 2, 20, 20, dtype=torch.float64)
    hard = top_area(flat, (0.25, 0.5))
    assert torch.equal(hard, top_area(0.3 * flat, (0.25, 0.5)))
    assert (hard[0, 0] <= hard[0, 1]).all()
    assert hard[0, 1, :10].sum().item() == pytest.approx(100, abs=25)
    assert hard[0, 1, :, :10].sum().item() == pytest.approx(100, abs=25)


def test_the_order_of_ties_is_the_same_for_every_mask_of_a_size():
    mask = (masks(1, 1, 8, 8) * 4).floor()
    other = mask.clone()
    other[0, 0, 3, 3] = 9  # one pixel rises; the others keep their order
    rank, moved = rank_pixels(mask)[0, 0].flatten(), rank_pixels(other)[0, 0].flatten()
    rest = torch.arange(64) != 27
    assert torch.equal(rank[rest].argsort(), moved[rest].argsort())
    assert moved[27] == 0


def test_ranks_are_a_permutation_that_descends_in_value():
    mask = (masks(2, 1, 6, 7) * 5).floor()
    rank = rank_pixels(mask).flatten(2)
    for n in range(2):
        assert sorted(rank[n, 0].tolist()) == list(range(42))
        ordered = mask.flatten(2)[n, 0][rank[n, 0].argsort()].tolist()
        assert ordered == sorted(ordered, reverse=True)


def test_hard_masks_keep_1_and_are_feathered():
    mask = masks(1, 2)
    binary = top_area(mask, (0.1, 0.5)).to(mask.dtype)
    sigma = 2 / 224 * min(mask.shape[-2:])
    torch.testing.assert_close(hard_masks(mask, (0.1, 0.5)), gaussian_blur(binary, sigma))


@pytest.mark.parametrize("bad", [(), (0.2, 0.1), (0.1, 0.1), (0.0, 0.5), (0.5, 1.5)])
def test_areas_must_ascend_in_0_to_1(bad):
    with pytest.raises(ValueError, match="ascending"):
        top_area(masks(1, len(bad)), bad)


def test_every_mask_needs_its_area():
    with pytest.raises(ValueError, match="3 masks per set, but 2 areas"):
        top_area(masks(), (0.1, 0.2))
