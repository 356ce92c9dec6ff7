"""The formulas written in sums against those of their own homes."""

import math

import numpy as np
import pytest

from fundusseg.measures.bootstrap import bootstrap, mean_interval, sums_interval
from fundusseg.measures.calibration_error import Reliability
from fundusseg.measures.concordance import concordance
from fundusseg.measures.sums import agreement, calibration_error, mean, share_above

FIELDS = {"mae": "mae", "bias": "bias", "limit_low": "low", "limit_high": "high", "icc": "icc", "pearson": "pearson"}


@pytest.mark.parametrize("seed", range(20))
def test_agreement_is_that_of_concordance(seed):
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.2, 0.9, 3 + 5 * seed)
    found = true + rng.normal(0.02, 0.05, true.size)
    found[::4] = np.nan
    everyone = np.ones(true.size, bool)
    expected = concordance(found, true)
    for name, sums in agreement(found, true).items():
        assert sums.of(everyone) == pytest.approx(getattr(expected, FIELDS[name]), abs=1e-9), name


@pytest.mark.parametrize("pairs", [[], [(0.5, 0.6)], [(0.3, 0.3)] * 5, [(0.1, 0.3), (0.1, 0.4)], [(math.nan, 0.1)] * 2])
def test_agreement_without_spread(pairs):
    found, true = np.array(pairs, float).reshape(-1, 2).T
    expected = concordance(found, true)
    for name, sums in agreement(found, true).items():
        value = getattr(expected, FIELDS[name])
        assert sums.of(np.ones(found.size, bool)) == pytest.approx(value, nan_ok=True, abs=1e-12), name


def test_calibration_error_of_all_pixels_together():
    rng = np.random.default_rng(0)
    counted = [Reliability.of(p, rng.random((9, 9)) < p**2) for p in rng.random((4, 9, 9)).astype(np.float32)]
    sums = calibration_error([counted[0], None, *counted[1:]])
    assert sums.defined.tolist() == [True, False, True, True, True]
    together = counted[0] + counted[1] + counted[2] + counted[3]
    assert sums.of(np.ones(5, bool)) == pytest.approx(together.error)


def test_shares_and_means_leave_undefined_out():
    values = [0.95, math.nan, 0.9, 0.91]
    assert share_above(values, 0.9).of(np.ones(4, bool)) == pytest.approx(2 / 3)
    assert mean(values).of(np.array([True, True, False, False])) == pytest.approx(0.95)
    assert math.isnan(mean(values).of(np.array([False, True, False, False])))


def test_the_interval_of_sums_is_that_of_the_figure():
    """The quick way and the long one draw the same patients."""
    rng = np.random.default_rng(1)
    true = rng.uniform(0.2, 0.9, 60)
    found = true + rng.normal(0, 0.1, 60)
    who, where = [str(i // 2) for i in range(60)], ["a"] * 30 + ["b"] * 30
    for name, sums in agreement(found, true).items():
        quick = sums_interval(sums.parts, sums.figure, who, where)
        long = bootstrap(lambda i, name=name: getattr(concordance(found[i], true[i]), FIELDS[name]), who, strata=where)
        assert quick == pytest.approx(long, abs=1e-9), name
    part = mean(found)
    assert sums_interval(part.parts, part.figure, who) == mean_interval(found, who)
