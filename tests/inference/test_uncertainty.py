"""The interval holds the truth as often as it says, and one word follows from the reasons."""

import math

import numpy as np
import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.inference.uncertainty import FLOOR, Calibration, calibrate, least_photographs, triage


def simulated(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors whose size follows the spread, with heavy tails."""
    spreads = generator.gamma(2, 0.02, count)
    return generator.standard_t(4, count) * (spreads + 0.01), spreads


def test_the_interval_covers_as_much_as_it_says():
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        errors, spreads = simulated(generator, 60)
        factor = calibrate(errors, spreads, views=4).factor
        new_errors, new_spreads = simulated(generator, 200)
        covered.append(np.mean(np.abs(new_errors) <= factor * (new_spreads + FLOOR)))
    assert 0.89 < np.mean(covered) < 0.93


def test_interval_is_wider_where_views_differ_and_stays_in_range():
    calibration = Calibration(factor=2.0, coverage=0.9, count=50, views=4)
    assert calibration.interval(0.5, 0.03) == pytest.approx((0.4, 0.6))
    assert calibration.interval(0.95, 0.1) == pytest.approx((0.71, 1.0))
    assert all(math.isnan(end) for end in calibration.interval(math.nan, 0.1))
    assert calibration.interval(0.4, math.nan) == (0.0, 1.0), "a view without a disc: nothing is known"


def test_undefined_pairs_are_left_out_and_too_few_refused():
    errors, spreads = [0.1] * 9 + [math.nan] * 5, [0.02] * 14
    assert calibrate(errors, spreads, views=2).count == 9
    with pytest.raises(ConfigurationError, match="8 photographs"):
        calibrate(errors[1:], spreads[1:], views=2)
    assert [least_photographs(coverage) for coverage in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]


@pytest.mark.parametrize("coverage", [-1, 0, 1, 90, math.nan])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(ConfigurationError, match="coverage"):
        calibrate([0.1] * 50, [0.02] * 50, views=2, coverage=coverage)


def test_one_word():
    assert triage([], []) == ("accept", ())
    assert triage([], ["dim"]) == ("review", ("dim",))
    assert triage(["black"], ["dim"]) == ("reject", ("black", "dim"))
