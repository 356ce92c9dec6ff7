import math
import warnings
from dataclasses import astuple

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fundusseg.measures.ratio_agreement import Concordance, concordance, ratio_agreement

ratios = st.lists(st.tuples(*[st.floats(0, 1).map(lambda x: round(x, 3))] * 2), min_size=2, max_size=30)


def icc_by_pingouin(found, true):
    table = pd.DataFrame(
        {
            "picture": np.tile(np.arange(len(found)), 2),
            "rater": np.repeat(["found", "true"], len(found)),
            "ratio": np.concatenate([found, true]),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its F test, where there is no error
        icc = pingouin.intraclass_corr(table, "picture", "rater", "ratio").set_index("Type")["ICC"]
    return icc["ICC(A,1)"]


FIELDS = {"mae": "mae", "bias": "bias", "limit_low": "low", "limit_high": "high", "icc": "icc", "pearson": "pearson"}


def two_passes(found, true):
    """The textbook's way: means first, then squares of what lies off them."""
    one, other = np.asarray(found, float), np.asarray(true, float)
    defined = ~(np.isnan(one) | np.isnan(other))
    one, other = one[defined], other[defined]
    if one.size == 0:
        return Concordance(0)
    difference = one - other
    mae, bias = float(np.abs(difference).mean()), float(difference.mean())
    if one.size == 1:
        return Concordance(1, mae, bias)
    sd = float(difference.std(ddof=1))
    limits = bias - 1.96 * sd, bias + 1.96 * sd
    return Concordance(one.size, mae, bias, sd, *limits, icc_of(np.stack([one, other])), pearson_of(one, other))


def icc_of(pairs):
    """(MSR - MSE) / (MSR + MSE + 2 (MSC - MSE) / n), mean squares of pictures, residuals and the two columns."""
    n = pairs.shape[1]
    if np.ptp(pairs) == 0:
        return math.nan
    mean, columns, pictures = pairs.mean(), pairs.mean(1, keepdims=True), pairs.mean(0)
    between = 2 * float(np.square(pictures - mean).sum()) / (n - 1)
    column = n * float(np.square(columns - mean).sum())
    residual = float(np.square(pairs - columns - pictures + mean).sum()) / (n - 1)
    whole = between + residual + 2 * (column - residual) / n
    return (between - residual) / whole if whole else math.nan


def pearson_of(one, other):
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def columns(count, generator):
    true = generator.uniform(0.2, 0.9, count)
    return true * generator.uniform(0.6, 1.2) + generator.normal(generator.normal(0, 0.1), 0.1, count), true


@pytest.mark.slow
def test_icc_is_pingouins():
    generator = np.random.default_rng(0)
    for _ in range(100):
        found, true = columns(int(generator.integers(5, 60)), generator)
        assert concordance(found, true).icc == pytest.approx(icc_by_pingouin(found, true), abs=1e-6)


def test_icc_by_hand():
    # Shrout and Fleiss 1979, table 2, judges 1 and 2. Means 46/6 and 15/6, of the pictures 5.5 3.5 6 4 7.5 4; the mean
    # squares are 281/60, 961/12 and 41/60.
    one, other = np.array([9, 6, 8, 7, 10, 6]), np.array([2, 1, 4, 1, 5, 2])
    rows, judges, error = 281 / 60, 961 / 12, 41 / 60
    expected = (rows - error) / (rows + error + 2 * (judges - error) / 6)
    assert expected == pytest.approx(24 / 191)
    assert concordance(one, other).icc == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
def test_the_rest_is_scipys_and_numpys_on_a_thousand_columns():
    generator = np.random.default_rng(1)
    for _ in range(1000):
        found, true = columns(int(generator.integers(3, 60)), generator)
        got, difference = concordance(found, true), found - true
        assert got.pearson == pytest.approx(stats.pearsonr(found, true).statistic, abs=1e-6)
        assert (got.n, got.bias) == (len(found), pytest.approx(np.mean(found) - np.mean(true), abs=1e-9))
        assert got.mae == pytest.approx(np.mean(np.abs(difference)), abs=1e-9)
        assert got.sd == pytest.approx(stats.tstd(difference), abs=1e-9)
        assert (got.low, got.high) == pytest.approx(
            (difference.mean() - 1.96 * stats.tstd(difference), difference.mean() + 1.96 * stats.tstd(difference))
        )


def test_pairs_with_a_gap_are_left_out():
    found, true = [0.4, np.nan, 0.6, 0.5, 0.8], [0.5, 0.5, np.nan, 0.6, 0.7]
    assert concordance(found, true) == concordance([0.4, 0.5, 0.8], [0.5, 0.6, 0.7])
    assert concordance(found, true).n == 3


def test_what_is_undefined():
    nothing = concordance([np.nan, 1.0], [1.0, np.nan])
    assert nothing.n == 0 and np.isnan([nothing.mae, nothing.bias, nothing.icc, nothing.pearson]).all()
    single = concordance([0.5], [0.75])
    assert (single.n, single.mae, single.bias) == (1, 0.25, -0.25)
    assert np.isnan([single.sd, single.low, single.icc, single.pearson]).all()
    constant = concordance([0.5, 0.5, 0.5], [0.4, 0.6, 0.8])
    assert np.isnan(constant.pearson) and constant.icc == pytest.approx(0)
    assert np.isnan(concordance([0.5, 0.5], [0.5, 0.5]).icc)


def test_a_bias_lowers_the_icc_and_not_pearsons_correlation():
    true = np.linspace(0.2, 0.8, 20)
    got = concordance(true + 0.2, true)
    assert got.pearson == pytest.approx(1) and got.icc < 0.7 and got.sd == pytest.approx(0)
    assert concordance(true, true).icc == pytest.approx(1)


@settings(max_examples=100, deadline=None)
@given(ratios)
@pytest.mark.slow
def test_bounds(pairs):
    found, true = np.array(pairs).T
    got, back = concordance(found, true), concordance(true, found)
    assert abs(got.bias) <= got.mae + 1e-12 and got.low <= got.bias <= got.high
    assert (got.icc, got.bias) == pytest.approx((back.icc, -back.bias), nan_ok=True, abs=1e-9)
    assert np.isnan(got.icc) or got.icc <= 1 + 1e-9
    assert np.isnan(got.pearson) or abs(got.pearson) <= 1 + 1e-9


def test_two_exchanged_values_have_no_intraclass_correlation():
    # Neither pictures nor columns differ in their means: 0 / 0 but for rounding.
    assert np.isnan(concordance([0.938, 0.719], [0.719, 0.938]).icc)


@pytest.mark.parametrize("seed", range(20))
def test_sums_give_what_two_passes_give(seed):
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.2, 0.9, 3 + 5 * seed)
    found = true + rng.normal(0.02, 0.05, true.size)
    found[::4] = np.nan
    everyone = np.ones(true.size, bool)
    expected = two_passes(found, true)
    for name, sums in ratio_agreement(found, true).items():
        assert sums.of(everyone) == pytest.approx(getattr(expected, FIELDS[name]), abs=1e-9), name
    assert astuple(concordance(found, true)) == pytest.approx(astuple(expected), abs=1e-9)


@pytest.mark.parametrize("pairs", [[], [(0.5, 0.6)], [(0.3, 0.3)] * 5, [(0.1, 0.3), (0.1, 0.4)], [(math.nan, 0.1)] * 2])
def test_what_has_no_spread(pairs):
    found, true = np.array(pairs, float).reshape(-1, 2).T
    expected = two_passes(found, true)
    for name, sums in ratio_agreement(found, true).items():
        value = getattr(expected, FIELDS[name])
        assert sums.of(np.ones(found.size, bool)) == pytest.approx(value, nan_ok=True, abs=1e-12), name
