"""Certificates: sampling against enumeration, the number of samples against its formula."""

from collections import Counter
from itertools import combinations
from math import comb, exp

import pytest
import torch

from inr_core import metrics


def test_the_number_of_samples_is_that_of_the_paper():
    assert metrics.sample_count(0.1, 0.1) == 150
    n = metrics.sample_count(0.05, 0.01)
    assert 2 * exp(-2 * n * 0.05**2) <= 0.01 < 2 * exp(-2 * (n - 2) * 0.05**2)


@pytest.mark.parametrize(("error", "doubt"), [(0, 0.1), (1, 0.1), (0.1, 0), (0.1, 2)])
def test_an_impossible_certainty_is_refused(error, doubt):
    with pytest.raises(ValueError, match="error and doubt"):
        metrics.sample_count(error, doubt)


def test_every_set_of_up_to_r_patches_is_as_likely_as_any_other():
    every = [set(c) for k in range(3) for c in combinations(range(4), k)]  # 1 + 4 + 6
    assert len(every) == sum(comb(4, k) for k in range(3))
    chosen = metrics.further_reveals(4, 2, 22_000, torch.Generator().manual_seed(0))
    found = Counter(frozenset(row.nonzero()[:, 0].tolist()) for row in chosen)
    assert set(found) == set(map(frozenset, every))
    assert all(abs(count - 2000) < 5 * 2000**0.5 for count in found.values())


def test_with_fewer_hidden_patches_than_the_radius_all_may_be_revealed():
    generator = torch.Generator().manual_seed(0)
    chosen = metrics.further_reveals(2, 9, 400, generator)
    assert chosen.shape == (400, 2) and {0, 1, 2} == set(chosen.sum(1).tolist())
    assert metrics.further_reveals(0, 9, 5, generator).shape == (5, 0)


def test_patches_cover_an_image_of_any_size_and_what_a_mask_shows_is_not_hidden():
    number = metrics.patch_numbers(3, (7, 5))
    assert number.shape == (7, 5) and number.unique().tolist() == list(range(9))
    assert (number[0, 0], number[6, 4], number[0, 4]) == (0, 8, 2)
    hard = number == 4
    hard |= (number == 0) & (torch.arange(5) == 0)  # a part of the first patch
    hidden = metrics.hidden_patches(hard, number)
    assert hidden.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    chosen = torch.zeros(2, 8, dtype=torch.bool)
    chosen[1, 7] = True
    none, last = metrics.revealed(hard, number, hidden, chosen)
    assert none.equal(hard) and last.equal(hard | (number == 8))
