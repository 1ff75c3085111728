"""RISE against a plain loop over its masks."""

import math

import pytest
import torch

from inr_core import MicroBatch
from inr_core.game.scene import Scene
from inr_core.peers import RiseConfig
from inr_core.peers.common import Task
from inr_core.peers.rise import draw_grids, enlarge, rise_map


def classify(image):
    """Class 1 by what stands in the upper left."""
    evidence = image[:, :, :6, :6].mean((1, 2, 3)) * 4
    return torch.stack([-evidence, evidence, torch.zeros_like(evidence)], 1)


def task_of(image, microbatch):
    scene = Scene(
        image_NCHW=image,
        baseline_NLCHW=image[:, None],
        target_N=torch.ones(len(image), dtype=torch.long),
        pyramid=False,
    )
    return Task(
        scene=scene,
        seeds=tuple(range(7, 7 + len(image))),
        classify=classify,
        module=torch.nn.Identity(),
        microbatch=MicroBatch(microbatch),
    )


@pytest.mark.parametrize("microbatch", [1, 7, 100])
def test_the_map_is_the_mean_of_masks_weighted_by_their_scores(microbatch):
    image = torch.rand(2, 3, 14, 17, generator=torch.Generator().manual_seed(0)).double() + 0.5
    config = RiseConfig(samples=30, cells=4, keep=0.3)
    found = rise_map(task_of(image, microbatch), config)
    for b in range(2):
        grids, shifts = draw_grids(7 + b, (14, 17), config)
        total = torch.zeros(14, 17, dtype=torch.float64)
        for grid, (down, right) in zip(grids, shifts.tolist(), strict=True):
            mask = plain_mask(grid.double(), down, right, (14, 17))
            score = torch.softmax(classify(image[b : b + 1] * mask).float(), 1)[0, 1].double()
            total += score * mask / (30 * 0.3)
        torch.testing.assert_close(found[b], total, atol=1e-9, rtol=1e-6)


def plain_mask(grid, down, right, size):
    """Bilinear interpolation, pixel by pixel, of a grid enlarged to one cell more than the image"""
    cells = len(grid)
    scale = [(cells + 1) * math.ceil(side / cells) / cells for side in size]
    mask = torch.zeros(size, dtype=grid.dtype)
    for y in range(size[0]):
        for x in range(size[1]):
            row = min(max((y + down + 0.5) / scale[0] - 0.5, 0), cells - 1)
            column = min(max((x + right + 0.5) / scale[1] - 0.5, 0), cells - 1)
            top, left = int(row), int(column)
            bottom, beside = min(top + 1, cells - 1), min(left + 1, cells - 1)
            v, u = row - top, column - left
            mask[y, x] = (1 - v) * ((1 - u) * grid[top, left] + u * grid[top, beside]) + v * (
                (1 - u) * grid[bottom, left] + u * grid[bottom, beside]
            )
    return mask


def test_masks_keep_their_share_and_are_shifted():
    config = RiseConfig(samples=2000, cells=5, keep=0.3)
    grids, shifts = draw_grids(0, (23, 23), config)
    masks = enlarge(grids.float(), shifts, (23, 23))
    assert masks.mean().item() == pytest.approx(0.3, abs=0.01)
    assert set(shifts.flatten().tolist()) == set(range(5))  # less than a cell of ceil(23 / 5)


def test_the_place_that_counts_is_found():
    image = torch.ones(1, 3, 24, 24)
    (found,) = rise_map(task_of(image, 64), RiseConfig(samples=1500, cells=4, keep=0.3))
    assert found[:6, :6].mean() > 1.1 * found[12:, 12:].mean()
    top = found.flatten().topk(36).indices
    assert ((top // 24 < 10) & (top % 24 < 10)).float().mean() > 0.9


@pytest.mark.parametrize("bad", [{"samples": 0}, {"cells": 0}, {"keep": 0.0}, {"keep": 1.0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        RiseConfig(**bad)
