"""The error of repeated photographs, against an analysis of variance, and the intervals that rest on it."""

import numpy as np
import pytest

from fundusseg.measures.repeatability import MEASURES, WITHIN_EYE, Repeatability, within_eye_sd


def test_the_pooled_deviation_is_that_of_the_analysis_of_variance():
    random = np.random.default_rng(0)
    eyes = [random.normal(random.normal(), 0.1, count) for count in (2, 3, 5, 1)]
    squares = sum(((eye - eye.mean()) ** 2).sum() for eye in eyes)
    sd, freedom = within_eye_sd([*eyes, np.array([np.nan, 1.0])])
    assert freedom == 7 and sd == pytest.approx((squares / 7) ** 0.5)


def test_of_no_repetition_nothing_is_known():
    assert np.isnan(within_eye_sd([np.array([0.5])])[0])


def test_the_smallest_change_is_the_limit_of_a_difference_with_normal_errors_and_with_long_tails():
    known = Repeatability()
    sd, limit = known.sd("vertical_cdr"), known.smallest_change("vertical_cdr")
    random = np.random.default_rng(0)
    tailed = random.standard_t(4.5, (2, 200_000)) * sd / 1.8**0.5  # of variance sd**2, kurtosis 15
    for errors in (random.normal(0, sd, (2, 200_000)), tailed):
        assert errors.std() == pytest.approx(sd, rel=0.02)
        assert 0.93 < (np.abs(errors[0] - errors[1]) < limit).mean() < 0.97
    found, low, high = known.difference(0.6, 0.4, "vertical_cdr")
    assert found == pytest.approx(0.2) and high - found == pytest.approx(found - low)


def test_the_shipped_table_has_every_measure():
    assert set(WITHIN_EYE) == set(MEASURES) and all(0 < value < 0.2 for value in WITHIN_EYE.values())
