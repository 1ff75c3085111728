"""Intervals of means: against SciPy's, against simulation, and what they must not hide."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.results import Interval, difference, interval
from pipeline.results.intervals import mean_interval, share_interval


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).random(9)
    found = mean_interval(values)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(values.mean()) and found.images == 9
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(("hits", "count"), [(0, 8), (3, 8), (8, 8), (47, 50)])
def test_the_interval_of_a_share_is_wilsons(hits, count):
    found = interval("pointing", {f"{n}": float(n < hits) for n in range(count)})
    wanted = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert found.mean == hits / count
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize("count", [8, 32])
def test_intervals_hold_the_true_mean_about_as_often_as_they_say(count):
    """Of scores that crowd at 0 and 1, as those of kept regions do."""
    generator = np.random.default_rng(1)
    found = [mean_interval(generator.beta(0.4, 0.8, count)) for _ in range(2000)]
    held = np.mean([i.low <= 1 / 3 <= i.high for i in found])
    assert 0.915 < held < 0.97


def test_a_difference_is_of_the_images_that_both_have():
    first = {"a": 1.0, "b": 3.0, "c": 9.0}
    found = difference(first, {"b": 1.0, "a": 0.0, "d": 5.0})
    assert (found.mean, found.images) == (1.5, 2)
    assert found == mean_interval([1.0, 2.0])


def test_undefined_values_do_not_count_and_one_image_has_no_interval():
    assert mean_interval([0.25, math.nan, 0.75]) == mean_interval([0.25, 0.75])
    assert share_interval([1.0, math.nan, 0.0]) == share_interval([1.0, 0.0])
    one = mean_interval([0.5])
    assert one.mean == 0.5 and math.isnan(one.low) and math.isnan(one.high) and one.images == 1
    for none in (mean_interval([]), share_interval([math.nan])):
        assert none.images == 0 and math.isnan(none.mean)


def test_an_interval_as_text():
    found = mean_interval([0.1, 0.2])
    half = 12.7062 * 0.05
    assert str(found) == f".15 [-.{round(100 * (half - 0.15))} .{round(100 * (half + 0.15))}]"
    assert str(mean_interval([0.5])) == ".50" and str(mean_interval([1.0])) == "1.00"
    near = Interval(mean=0.01, low=-8e-05, high=0.02, images=2)
    assert str(near) == ".01 [-.00 .02]"  # a power would look large beside it
    middle = Interval(mean=2e-4, low=-0.06, high=0.06, images=2)
    assert str(middle) == ".00 [-.06 .06]"
    assert str(mean_interval([2e-4, 2e-4])) == "2e-04 [2e-04 2e-04]"
    assert str(mean_interval([-0.25])) == "-.25" and str(mean_interval([0.999])) == "1.00"
