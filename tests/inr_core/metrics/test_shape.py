"""Perimeters of known figures; components against a flood fill."""

import math

import pytest
import torch

from inr_core.metrics import component_labels, count_components, disc_ratio, perimeter

GENERATOR = torch.Generator().manual_seed(26)


def disc(cy, cx, radius, size=200):
    y = torch.arange(size)[:, None] - cy
    x = torch.arange(size) - cx
    return y * y + x * x <= radius * radius


def flood(mask_HW):
    """Components by flood fill over the 8 neighbours, as sets of pixels."""
    left = {tuple(p) for p in mask_HW.nonzero().tolist()}
    found = []
    while left:
        stack, component = [left.pop()], set()
        while stack:
            row, column = stack.pop()
            component.add((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            stack.extend(near)
        found.append(component)
    return found


@pytest.mark.parametrize("radius", [25, 40, 70])
def test_a_disc_has_a_ratio_of_1(radius):
    mask = disc(100, 101, radius)[None, None]
    assert disc_ratio(mask).item() == pytest.approx(1, abs=0.01)
    assert perimeter(mask).item() == pytest.approx(2 * math.pi * radius, rel=0.02)


def test_two_discs_have_the_square_root_of_two():
    mask = (disc(50, 60, 30) | disc(140, 140, 30))[None, None]
    assert disc_ratio(mask).item() == pytest.approx(math.sqrt(2), abs=0.015)


@pytest.mark.parametrize("slant", [0.0, 0.3, 0.7, 1.0])
def test_the_length_of_an_edge_does_not_depend_on_its_direction(slant):
    y = torch.arange(200)[:, None] - 100
    half = (y > slant * (torch.arange(200) - 100))[None, None]
    length = 200 * math.sqrt(1 + slant * slant)
    border = 200 + 200  # below, and half of each side, one as much longer as the other is shorter
    assert perimeter(half).item() == pytest.approx(length + border, rel=0.03)


def test_the_border_of_the_image_is_an_outline():
    full = torch.ones(1, 1, 200, 200, dtype=torch.bool)
    assert perimeter(full).item() == pytest.approx(4 * 200, rel=0.02)
    assert disc_ratio(~full).isnan().all()
    quarter = disc(-0.5, -0.5, 120)[None, None]  # in a corner
    assert perimeter(quarter).item() == pytest.approx((math.pi / 2 + 2) * 120, rel=0.02)
    assert disc_ratio(quarter).item() > disc_ratio(disc(100, 100, 60)[None, None]).item() + 0.1


def test_each_mask_is_measured_alone():
    masks = torch.stack([disc(60, 60, 20), disc(90, 110, 50)])
    together = disc_ratio(masks[None])[0]
    for k in range(2):
        assert together[k].item() == pytest.approx(disc_ratio(masks[None, k : k + 1]).item())


@pytest.mark.parametrize("density", [0.2, 0.4, 0.6, 1.0])
def test_components_are_those_of_a_flood_fill(density):
    mask = torch.rand(3, 17, 23, generator=GENERATOR) < density
    labels = component_labels(mask)
    assert torch.equal(labels > 0, mask)
    for k in range(3):
        expected = flood(mask[k])
        values = [v for v in labels[k].unique().tolist() if v]
        found = [{tuple(p) for p in (labels[k] == v).nonzero().tolist()} for v in values]
        assert sorted(map(sorted, found)) == sorted(map(sorted, expected))


def spiral(size=41):
    """One long corridor, one pixel wide, turning inwards."""
    mask = torch.zeros(size, size, dtype=torch.bool)
    row, column, down, right = 0, 0, 0, 1
    for length in [size - 1] + [n for n in range(size - 1, 2, -2) for _ in (0, 1)]:
        for _ in range(length):
            mask[row, column] = True
            row, column = row + down, column + right
        down, right = right, -down
    return mask


def test_a_long_corridor_is_one_component():
    mask = spiral()
    assert mask.sum() > 800 and len(flood(mask)) == 1
    assert [c.item() for c in count_components(mask[None, None])] == [1, 1]


def test_corners_connect():
    diagonal = torch.eye(6, dtype=torch.bool)[None, None]
    assert count_components(diagonal)[0].item() == 1


def test_small_components_are_not_significant():
    mask = torch.zeros(1, 2, 50, 50, dtype=torch.bool)
    mask[0, 0, 5:10, 5:10] = True  # 25 pixels
    mask[0, 0, 20, 20:23] = True  # 3 pixels: 0.12 %
    mask[0, 0, 40, 40:42] = True  # 2 pixels: 0.08 %
    every, large = count_components(mask)
    assert every.tolist() == [[3, 0]] and large.tolist() == [[2, 0]]
    assert count_components(mask, significant=0.005)[1].tolist() == [[1, 0]]
    assert torch.equal(count_components(mask, significant=0.0)[1], every)
