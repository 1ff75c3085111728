"""Behaviour in area: by hand, by loops, and the identities of nested families."""

import pytest
import torch

from inr_core.metrics import (
    area_error,
    binariness_gap,
    monotone_share,
    nestedness,
    path_ratio,
    top_area,
)

GENERATOR = torch.Generator().manual_seed(25)
AREAS = (0.1, 0.2, 0.4)


def masks():
    return torch.rand(2, 3, 5, 6, generator=GENERATOR, dtype=torch.float64)


def test_all_against_loops_over_pixels():
    mask = masks()
    for n in range(2):
        rows = [mask[n, a].flatten().tolist() for a in range(3)]
        for a, row in enumerate(rows):
            error = abs(sum(row) / 30 - AREAS[a])
            assert area_error(mask, AREAS)[n, a].item() == pytest.approx(error)
            gap = sum(4 * v * (1 - v) for v in row) / 30
            assert binariness_gap(mask)[n, a].item() == pytest.approx(gap)
        pairs = list(zip(rows, rows[1:], strict=False))
        shares = [sum(map(min, small, large)) / sum(small) for small, large in pairs]
        assert nestedness(mask)[n].item() == pytest.approx(sum(shares) / 2)
        path = sum(abs(v - u) for small, large in pairs for u, v in zip(small, large, strict=True))
        growth = abs(sum(rows[2]) - sum(rows[0]))
        assert path_ratio(mask)[n].item() == pytest.approx(path / growth)


def test_a_nested_family_has_nestedness_and_path_ratio_of_exactly_1():
    field = masks()[:, :1].expand(2, 3, 5, 6)
    nested = top_area(field, AREAS).double()
    assert nestedness(nested).tolist() == [1, 1]
    assert path_ratio(nested).tolist() == [1, 1]
    assert area_error(nested, AREAS).max() < 1e-12  # 3, 6 and 12 of 30 pixels
    assert binariness_gap(nested).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_one_pixel_that_goes_back_is_seen():
    mask = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    mask[0, 0, 0, :2] = 1  # two pixels, of which one is lost while three others come
    mask[0, 1, 0, 1:] = 1
    mask[0, 1, 1, 0] = 1
    assert nestedness(mask).item() == 0.5
    assert path_ratio(mask).item() == 2  # |-1| + 3 over 2


def test_disjoint_masks_are_not_nested_at_all():
    mask = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    mask[0, 0, 0], mask[0, 1, 1:3] = 1, 1
    assert nestedness(mask).item() == 0
    assert path_ratio(mask).item() == 3


def test_the_binariness_gap_is_1_at_one_half():
    assert binariness_gap(torch.full((1, 1, 3, 3), 0.5)).item() == 1


def test_scores_are_monotone_within_the_tolerance():
    kept = torch.tensor([[0.1, 0.3, 0.295, 0.2], [0.5, 0.4, 0.3, 0.2], [0.1, 0.1, 0.1, 0.9]])
    assert monotone_share(kept).tolist() == pytest.approx([2 / 3, 0, 1])
    assert monotone_share(kept, tolerance=0.0)[0].item() == pytest.approx(1 / 3)


def test_a_single_area_has_no_behaviour():
    mask = masks()[:, :1]
    assert nestedness(mask).isnan().all() and path_ratio(mask).isnan().all()
    assert monotone_share(mask[..., 0, 0]).isnan().all()
