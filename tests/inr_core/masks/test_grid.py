"""Coordinates, and interpolation against polynomials."""

import pytest
import torch

from inr_core.masks.grid import ORDER, centres, grid, interpolation, spread

LIKE = torch.zeros((), dtype=torch.float64)


def test_grid_is_row_first_and_centred():
    coords = grid(centres(2, LIKE), centres(4, LIKE))
    assert coords[0].tolist() == [-0.5, -0.75]
    assert coords[3].tolist() == [-0.5, 0.75]
    assert coords[4].tolist() == [0.5, -0.75]


def test_points_are_spread_from_the_first_centre_to_the_last():
    points = spread(5, 8, LIKE)
    assert points[[0, -1]].tolist() == [-0.875, 0.875]
    torch.testing.assert_close(points.diff(), points.diff()[:1].expand(4))


@pytest.mark.parametrize(("points", "cells"), [(6, 9), (29, 56), (29, 30), (12, 100)])
def test_interpolation_is_exact_for_polynomials_of_degree_five(points, cells):
    factors = torch.randn(ORDER, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def polynomial(x):
        return sum(factor * x**n for n, factor in enumerate(factors))

    found = interpolation(points, cells) @ polynomial(spread(points, cells, LIKE))
    torch.testing.assert_close(found, polynomial(centres(cells, LIKE)))


def test_interpolation_at_a_point_is_its_value():
    """Of 11 points over 21 centres every second centre is a point."""
    assert torch.equal(interpolation(11, 21)[::2].round(decimals=12), torch.eye(11).double())
