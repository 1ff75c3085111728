"""Bootstrap intervals: against theory, and what they must and must not depend on."""

import math

import pytest
import torch

from inr_core.metrics import bootstrap_interval, paired_interval

GENERATOR = torch.Generator().manual_seed(28)


def test_the_interval_of_a_mean_is_near_the_normal_one():
    value = torch.randn(400, generator=GENERATOR, dtype=torch.float64)
    interval = bootstrap_interval(value, seed=1)
    margin = 1.96 * value.std().item() / math.sqrt(400)
    assert interval.mean == pytest.approx(value.mean().item())
    assert interval.low == pytest.approx(interval.mean - margin, abs=0.1 * margin)
    assert interval.high == pytest.approx(interval.mean + margin, abs=0.1 * margin)
    assert interval.images == 400
    narrow = bootstrap_interval(value, seed=1, level=0.5)
    ratio = (narrow.high - narrow.low) / (interval.high - interval.low)
    assert ratio == pytest.approx(0.674 / 1.96, rel=0.1)


def test_two_images_have_the_binomial_interval():
    value = torch.tensor([0.0, 1.0])  # means 0, .5, 1 with probabilities 1/4, 1/2, 1/4
    assert bootstrap_interval(value, seed=3).low == 0
    assert bootstrap_interval(value, seed=3).high == 1
    inner = bootstrap_interval(value, seed=3, level=0.4)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_the_seed_decides():
    value = torch.rand(30, generator=GENERATOR)
    first = bootstrap_interval(value, seed=1)
    torch.manual_seed(0)
    assert bootstrap_interval(value, seed=1) == first
    assert bootstrap_interval(value, seed=2) != first


def test_a_constant_has_no_interval_and_undefined_images_do_not_count():
    interval = bootstrap_interval(torch.tensor([0.25, math.nan, 0.25]), seed=0)
    assert (interval.mean, interval.low, interval.high, interval.images) == (0.25, 0.25, 0.25, 2)
    none = bootstrap_interval(torch.tensor([math.nan]), seed=0)
    assert math.isnan(none.mean) and math.isnan(none.low) and none.images == 0


def test_a_paired_difference_is_narrower_than_its_parts():
    hard = torch.rand(100, generator=GENERATOR, dtype=torch.float64)
    noise = 0.01 * torch.randn(100, generator=GENERATOR, dtype=torch.float64)
    first, second = hard + 0.05, hard + noise
    interval = paired_interval(first, second, seed=5)
    assert interval.mean == pytest.approx((first - second).mean().item())
    assert 0 < interval.low < interval.mean < interval.high < 0.06  # the first is higher
    alone = bootstrap_interval(first, seed=5)
    assert interval.high - interval.low < (alone.high - alone.low) / 10


def test_pairs_count_where_both_are_defined():
    first = torch.tensor([1.0, math.nan, 3.0])
    interval = paired_interval(first, torch.tensor([0.0, 0.0, math.nan]), seed=0)
    assert (interval.mean, interval.images) == (1, 1)
    with pytest.raises(ValueError, match="3 and 1"):
        paired_interval(first, first[:1], seed=0)


def test_bad_settings_are_refused():
    for bad in ({"level": 1.0}, {"draws": 0}):
        with pytest.raises(ValueError, match="level"):
            bootstrap_interval(torch.rand(3), seed=0, **bad)
