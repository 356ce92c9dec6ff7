"""The slope of an eye's visits, against scipy, and its interval against many unchanged eyes."""

import numpy as np
import pytest
from scipy.stats import theilslopes

from fundusseg.measures.trend import trend

YEARS = np.array([0.0, 1.1, 1.9, 3.2, 4.0])


def test_the_slope_is_scipys():
    random = np.random.default_rng(1)
    for _ in range(20):
        values = random.normal(size=5)
        assert trend(YEARS, values, 1.0).slope == pytest.approx(theilslopes(values, YEARS).slope)


@pytest.mark.parametrize(
    "years", [YEARS[:2], YEARS[:3], YEARS, np.arange(9) / 2, np.array([0, 1 / 365.25, 8])], ids=len
)
def test_the_interval_holds_the_truth_and_unchanged_eyes_are_told_so(years):
    random = np.random.default_rng(0)
    values = 0.5 + 0.01 * years + random.normal(0, 0.03, (1500, len(years)))
    found = [trend(years, row, 0.03) for row in values]
    held = np.mean([one.low <= 0.01 <= one.high for one in found])
    alarms = np.mean([trend(years, row - 0.01 * years, 0.03).changed for row in values])
    assert 0.93 <= held <= 0.97 and 0.035 <= alarms <= 0.065


def test_two_visits_have_the_interval_of_their_difference():
    found = trend(np.array([1.0, 3.0]), np.array([0.5, 0.6]), 0.02)
    assert found.total == pytest.approx((0.1, 0.1 - 1.96 * 2**0.5 * 0.02, 0.1 + 1.96 * 2**0.5 * 0.02), abs=1e-3)
    assert found.changed and found.years == 2


def test_one_visit_or_one_date_or_nan_has_none():
    assert trend(np.array([1.0]), np.array([0.5]), 0.02) is None
    assert trend(np.array([1.0, 1.0]), np.array([0.5, 0.6]), 0.02) is None
    assert trend(np.array([1.0, 2.0]), np.array([0.5, np.nan]), 0.02) is None


def test_one_wrong_outline_makes_no_change():
    values = np.array([0.5, 0.5, 0.9, 0.5, 0.5])
    found = trend(YEARS, values, 0.03)
    assert found.scattered and not found.changed and abs(found.slope) < 0.01


def test_visits_of_one_day_count_once_each_and_no_slope_is_infinite():
    found = trend(np.array([0.0, 0.0, 2.0]), np.array([0.5, 0.52, 0.51]), 0.03)
    assert np.isfinite([found.slope, found.low, found.high]).all()
