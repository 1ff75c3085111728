"""Single deletion against a plain loop over patches and against SciPy's rank correlation."""

import math

import pytest
import torch
from scipy.stats import spearmanr

from inr_core import MicroBatch
from inr_core.metrics import rank_correlation, single_deletion

GENERATOR = torch.Generator().manual_seed(24)
TARGET = torch.tensor([0, 2, 1])


def rand(*shape):
    return torch.rand(shape, generator=GENERATOR, dtype=torch.float64)


WEIGHT = 2 * rand(3, 2 * 8 * 12) - 1


def classify(image_MCHW):
    return (image_MCHW.flatten(1) @ WEIGHT.T).square()


@pytest.mark.parametrize("images", [1, 200])
@pytest.mark.parametrize("patches", [2, 4])
def test_it_is_the_rank_correlation_of_sums_and_falls_patch_by_patch(patches, images):
    image, map_ = rand(3, 2, 8, 12), rand(3, 8, 12)
    found = single_deletion(image, map_, TARGET, classify, MicroBatch(images), patches=patches)
    h, w = 8 // patches, 12 // patches
    for n, target in enumerate(TARGET.tolist()):
        whole, sums, falls = classify(image[n : n + 1])[0, target], [], []
        for row in range(0, 8, h):
            for column in range(0, 12, w):
                without = image[n : n + 1].clone()
                without[:, :, row : row + h, column : column + w] = 0
                falls.append((whole - classify(without)[0, target]).item())
                sums.append(map_[n, row : row + h, column : column + w].sum().item())
        assert found[n].item() == pytest.approx(spearmanr(sums, falls).statistic)


def test_a_map_of_what_the_logit_is_made_of_has_1_and_its_opposite_less_1():
    image, weight = torch.ones(1, 1, 8, 8), torch.arange(64.0).view(1, 8, 8)

    def linear(image_MCHW):
        return (image_MCHW[:, 0] * weight).sum((1, 2))[:, None]

    for sign in (1, -1):
        found = single_deletion(image, sign * weight, torch.tensor([0]), linear, MicroBatch(5))
        assert found.item() == pytest.approx(sign)


def test_patches_of_sides_that_do_not_divide_are_all_looked_at():
    seen = []

    def look(image_MCHW):
        seen.append(1 - image_MCHW[:, 0])
        return torch.zeros(len(image_MCHW), 1)

    flat = single_deletion(
        torch.ones(1, 1, 9, 10), rand(1, 9, 10), torch.tensor([0]), look, MicroBatch(3)
    )
    assert torch.equal(torch.cat(seen).sum(0), torch.ones(9, 10)) and len(torch.cat(seen)) == 16
    assert flat.isnan().all()  # a logit that never falls ranks nothing


def test_equal_values_share_a_rank_as_in_scipy():
    a, b = (torch.randint(4, (5, 16), generator=GENERATOR) for _ in range(2))
    found = rank_correlation(a, b)
    wanted = [spearmanr(x, y).statistic for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert found.tolist() == pytest.approx(wanted)
    assert math.isnan(rank_correlation(a[:1], torch.ones(1, 16)).item())
