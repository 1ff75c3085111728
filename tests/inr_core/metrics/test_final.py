"""Hard masks of single areas: by hand, and the smallest sufficient one against a plain search."""

import pytest
import torch

from inr_core import MicroBatch, Scene, gaussian_blur
from inr_core.metrics import HALVINGS, kept_by_top, score_hard, smallest_areas, top_area

AREAS = (0.1, 0.2, 0.4)
GENERATOR = torch.Generator().manual_seed(3)


def classify(image):
    """Class 1 by the brightness of the image."""
    evidence = 8 * image.mean((1, 2, 3)) - 3
    return torch.stack([torch.zeros_like(evidence), evidence], 1)


def scene(count=3):
    image = torch.rand(count, 3, 16, 20, generator=GENERATOR, dtype=torch.float64)
    baseline = torch.zeros(count, 1, 3, 16, 20, dtype=torch.float64)
    target = torch.ones(count, dtype=torch.long)
    return Scene(image_NCHW=image, baseline_NLCHW=baseline, target_N=target, pyramid=False)


def kept_of(hard, image):
    """Score behind one hard mask, its edge softened by 2 pixels of 224."""
    soft = gaussian_blur(hard[None, None].double(), 2 / 224 * 16)[0]
    return torch.softmax(classify((soft * image)[None]), 1)[0, 1].item()


@pytest.mark.parametrize("microbatch", [1, 5, 64])
def test_hard_masks_of_stored_ones_are_scored_by_their_top_pixels(microbatch):
    world = scene()
    stored = torch.randint(0, 256, (3, 3, 16, 20), generator=GENERATOR, dtype=torch.uint8)
    kept, removed = score_hard(stored, AREAS, world, classify, MicroBatch(microbatch))
    for n in range(3):
        hard = top_area(stored[n : n + 1].double(), AREAS)[0]
        for a in range(3):
            image = world.image_NCHW[n]
            assert kept[n, a].item() == pytest.approx(kept_of(hard[a], image))
            soft = gaussian_blur(hard[a][None, None].double(), 2 / 224 * 16)[0]
            without = torch.softmax(classify(((1 - soft) * image)[None]), 1)[0, 1].item()
            assert removed[n, a].item() == pytest.approx(without)


def test_a_haze_does_not_help_a_hard_mask():
    world = scene(1)
    world.image_NCHW[:] = 1.0
    haze = torch.full((1, 1, 16, 20), 102, dtype=torch.uint8)  # .4 everywhere
    spot = torch.zeros_like(haze)
    spot[..., :8, :16] = 255  # .4 of the image
    scores = [score_hard(mask, [0.4], world, classify, MicroBatch(1))[0] for mask in (haze, spot)]
    assert scores[0].item() == pytest.approx(scores[1].item(), abs=0.02)


def test_each_map_is_cut_at_an_area_of_its_own():
    world = scene()
    maps = torch.rand(3, 16, 20, generator=GENERATOR, dtype=torch.float64)
    areas = torch.tensor([0.03, 0.5, 0.25], dtype=torch.float64)
    found = kept_by_top(maps, areas, world, classify, MicroBatch(2))
    for n, area in enumerate(areas.tolist()):
        hard = top_area(maps[n][None, None], [area])[0, 0]
        assert found[n].item() == pytest.approx(kept_of(hard, world.image_NCHW[n]))


@pytest.mark.parametrize("wanted", [0.013, 0.09, 0.13, 0.27, 0.4])
def test_the_smallest_area_is_found_as_exactly_as_said(wanted):
    """Of scores that rise with the area and reach 90 % at the wanted one."""
    asked = []

    def score(area):
        return 0.5 * 0.9 * area / wanted

    def kept_at(area_M, chosen):
        asked.extend(area_M.tolist())
        assert chosen == [1]
        return score(area_M)

    kept = torch.tensor([[0.1, 0.1, 0.1], [score(area) for area in AREAS]], dtype=torch.float64)
    none, found = smallest_areas(AREAS, kept, torch.tensor([0.5, 0.5]), kept_at)
    assert none is None and len(asked) == HALVINGS
    stored = next(area for area in AREAS if area >= wanted)
    before = max([0.0, *(area for area in AREAS if area < stored)])
    assert wanted <= found < wanted + (stored - before) / 2**HALVINGS + 1e-9
    only = smallest_areas(AREAS, kept, torch.tensor([0.5, 0.5]))
    assert only == [None, stored]


def test_nothing_is_asked_where_no_stored_area_keeps_enough():
    def kept_at(area_M, chosen):
        raise AssertionError("asked")

    assert smallest_areas(AREAS, torch.zeros(2, 3), torch.ones(2), kept_at) == [None, None]
