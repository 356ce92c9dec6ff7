import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from fundusseg.measures.roc import auc


def study(generator, size=60):
    """Scores with ties, of positives that tend to be higher."""
    positive = generator.random(size) < generator.uniform(0.2, 0.8)
    positive[:4] = [True, True, False, False]
    return np.round(generator.normal(size=size) + generator.uniform(0, 2) * positive, 1), positive


def delong_by_hand(scores, positive):
    """Every positive against every negative, as DeLong 1988 writes it."""
    above = np.subtract.outer(scores[positive], scores[~positive])
    wins = (above > 0) + 0.5 * (above == 0)
    ten, one = wins.mean(1), wins.mean(0)
    return wins.mean(), math.sqrt(ten.var(ddof=1) / len(ten) + one.var(ddof=1) / len(one))


@pytest.mark.slow
def test_area_is_sklearns_on_a_thousand_studies():
    generator = np.random.default_rng(0)
    for _ in range(1000):
        scores, positive = study(generator)
        assert auc(scores, positive).value == pytest.approx(roc_auc_score(positive, scores), abs=1e-6)


@pytest.mark.slow
def test_interval_is_delongs_on_a_thousand_studies():
    generator = np.random.default_rng(1)
    for _ in range(1000):
        scores, positive = study(generator)
        value, deviation = delong_by_hand(scores, positive)
        got = auc(scores, positive)
        bounds = np.clip([value - 1.959964 * deviation, value + 1.959964 * deviation], 0, 1)
        assert [got.low, got.high] == pytest.approx(bounds.tolist(), abs=1e-6)


def test_area_is_the_mann_whitney_statistic():
    scores, positive = study(np.random.default_rng(2))
    u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert auc(scores, positive).value == pytest.approx(u / (positive.sum() * (~positive).sum()))


def test_by_hand():
    # Three of four pairs are in order. Components: positives 1/2 and 1, negatives 1 and 1/2.
    got = auc([1.0, 3.0, 0.0, 2.0], [True, True, False, False])
    assert got.value == 0.75
    assert 0.75 - got.low == pytest.approx(1.959964 * math.sqrt(0.125 / 2 + 0.125 / 2), abs=1e-5)
    assert got.high == 1  # cut
    assert auc([1, 1, 1, 1], [True, True, False, False]).value == 0.5


def test_what_is_undefined():
    for positive in ([True, True], [False, False]):
        got = auc([0.1, 0.2], positive)
        assert np.isnan([got.value, got.low, got.high]).all()
    assert np.isnan(auc([], []).value)
    single = auc([0.1, 0.2, 0.3], [False, False, True])
    assert single.value == 1 and np.isnan([single.low, single.high]).all()
    perfect = auc([0.1, 0.2, 0.3, 0.4], [False, False, True, True])
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)


def test_pictures_without_a_score_are_left_out():
    scores, positive = study(np.random.default_rng(3))
    patients = [f"{number // 2}" for number in range(60)]
    gaps = np.insert(scores, [0, 30], np.nan)
    got = auc(gaps, np.insert(positive, [0, 30], True), groups=["x", *patients[:30], "y", *patients[30:]])
    assert got == auc(scores, positive, groups=patients)


def test_every_picture_twice_tells_nothing_new():
    """Obuchowski's variance sees through the copies; DeLong's alone does not."""
    scores, positive = study(np.random.default_rng(4))
    patients = [str(number) for number in range(60)] * 2
    once, twice = auc(scores, positive), auc(np.tile(scores, 2), np.tile(positive, 2), groups=patients)
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))
    fooled = auc(np.tile(scores, 2), np.tile(positive, 2))
    assert fooled.high - fooled.low < 0.75 * (once.high - once.low)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.slow
def test_intervals_cover(clustered):
    """Normal scores one deviation apart: the true area is Phi(1 / sqrt 2)."""
    truth, held = stats.norm.cdf(1 / math.sqrt(2)), 0
    for number in range(1000):
        generator = np.random.default_rng(number)
        patients = np.arange(120) // 2 if clustered else np.arange(120)
        # Of each patient's eyes one may be ill: so that a patient is in both classes.
        positive = np.arange(120) % 3 == 0
        scores = (
            positive
            + math.sqrt(0.8) * generator.normal(size=120)[patients]
            + math.sqrt(0.2) * generator.normal(size=120)
        )
        got = auc(scores, positive, groups=[str(patient) for patient in patients])
        held += got.low <= truth <= got.high
    print(f"clustered {clustered}: {held / 1000:.1%}")
    assert 930 <= held <= 970


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30))
def test_order_is_all_that_counts(rows):
    scores, positive = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], bool)
    got = auc(scores, positive)
    assert auc(np.exp(scores), positive) == got or math.isnan(got.low)
    assert auc(-scores, positive).value == pytest.approx(1 - got.value, nan_ok=True)
    assert auc(scores, ~positive).value == pytest.approx(1 - got.value, nan_ok=True)
    assert math.isnan(got.low) or 0 <= got.low <= got.value <= got.high <= 1
