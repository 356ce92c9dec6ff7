"""Estimates from sums against the same of the numbers themselves, and their intervals against draws carried out."""

import math

import numpy as np
import pytest

from fundusseg.measures.bootstrap import mean_interval, sums_interval
from fundusseg.measures.calibration_error import Reliability, expected_calibration_error
from fundusseg.measures.ratio_agreement import concordance, ratio_agreement
from fundusseg.measures.sufficient_statistics import mean, share_above
from tests.support.any_bootstrap import bootstrap

FIELDS = {"mae": "mae", "bias": "bias", "limit_low": "low", "limit_high": "high", "icc": "icc", "pearson": "pearson"}


def test_calibration_error_of_all_pixels_together():
    rng = np.random.default_rng(0)
    counted = [Reliability.of(p, rng.random((9, 9)) < p**2) for p in rng.random((4, 9, 9)).astype(np.float32)]
    sums = expected_calibration_error([counted[0], None, *counted[1:]])
    assert sums.defined.tolist() == [True, False, True, True, True]
    together = counted[0] + counted[1] + counted[2] + counted[3]
    apart = [pixels / (4 * 81) * abs(said - true) for said, true, pixels in together.curve() if pixels]
    assert sums.of(np.ones(5, bool)) == pytest.approx(sum(apart))


def test_shares_and_means_leave_undefined_out():
    values = [0.95, math.nan, 0.9, 0.91]
    assert share_above(values, 0.9).of(np.ones(4, bool)) == pytest.approx(2 / 3)
    assert mean(values).of(np.array([True, True, False, False])) == pytest.approx(0.95)
    assert math.isnan(mean(values).of(np.array([False, True, False, False])))


@pytest.mark.slow
def test_the_interval_of_sums_is_that_of_the_figure():
    """The quick way and the long one draw the same patients."""
    rng = np.random.default_rng(1)
    true = rng.uniform(0.2, 0.9, 60)
    found = true + rng.normal(0, 0.1, 60)
    who, where = [str(i // 2) for i in range(60)], ["a"] * 30 + ["b"] * 30
    for name, sums in ratio_agreement(found, true).items():
        quick = sums_interval(sums.parts, sums.estimator, who, where)
        long = bootstrap(lambda i, name=name: getattr(concordance(found[i], true[i]), FIELDS[name]), who, strata=where)
        assert quick == pytest.approx(long, abs=1e-9), name
    part = mean(found)
    assert sums_interval(part.parts, part.estimator, who) == mean_interval(found, who)
