import math

import numpy as np
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fundusseg.measures.bootstrap import mean_interval
from fundusseg.measures.paired_tests import Difference, beyond_chance, holm, paired


def names(numbers):
    return [f"patient {number}" for number in numbers]


@pytest.mark.slow
def test_probability_is_scipys_on_a_thousand_studies():
    generator = np.random.default_rng(0)
    for _ in range(1000):
        count = int(generator.integers(3, 70))
        one, other = generator.normal(generator.normal(0, 0.3), 1, count), generator.normal(size=count)
        got = paired(one, other, names(range(count)))
        assert got.p == pytest.approx(stats.wilcoxon(one, other).pvalue, abs=1e-6)
        assert got.mean == pytest.approx(one.mean() - other.mean(), abs=1e-9)
        assert (got.n, got.patients, got.undefined) == (count, count, 0)


def test_patients_are_tested_not_pictures():
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(12), 5)
    one = generator.normal(0.3, 1, 12)[patients] + generator.normal(0, 0.01, 60)
    got = paired(one, np.zeros(60), names(patients))
    means = [one[patients == number].mean() for number in range(12)]
    assert got.p == pytest.approx(stats.wilcoxon(means).pvalue, abs=1e-6)
    assert got.p > 100 * stats.wilcoxon(one).pvalue
    assert (got.n, got.patients) == (60, 12)
    assert (got.low, got.high) == pytest.approx(mean_interval(one, names(patients)))


def test_gaps_are_left_out_and_counted():
    one, other = np.array([0.9, np.nan, 0.8, 0.7, 0.95]), np.array([0.8, 0.7, np.nan, 0.65, 0.8])
    got = paired(one, other, names(range(5)), ["x"] * 5)
    assert (got.n, got.undefined, got.patients) == (3, 2, 3)
    assert got.mean == pytest.approx(0.1)


def test_a_difference_that_is_there_is_seen_and_one_that_is_not_is_not():
    generator = np.random.default_rng(2)
    dice = generator.beta(9, 1, 60)
    better = paired(dice + generator.normal(0.02, 0.02, 60), dice, names(range(60)))
    assert beyond_chance(better, better.p) and better.low > 0
    worse = paired(dice, dice + generator.normal(0.02, 0.02, 60), names(range(60)))
    assert beyond_chance(worse, worse.p) and worse.high < 0
    same = paired(dice, dice, names(range(60)))
    assert not beyond_chance(same, same.p) and (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


@pytest.mark.slow
def test_chance_alone_is_seldom_called_a_difference():
    seen, studies = 0, 400
    for number in range(studies):
        generator = np.random.default_rng(number)
        patients = np.repeat(np.arange(30), 2)
        noise = generator.normal(0, 0.02, 30)[patients] + generator.normal(0, 0.005, 60)
        found = paired(noise, np.zeros(60), names(patients))
        seen += beyond_chance(found, found.p)
    print(f"called a difference: {seen / studies:.1%}")
    assert 0.01 <= seen / studies <= 0.07


def test_what_is_undefined():
    nothing = paired([np.nan], [1.0], ["a"])
    assert (nothing.n, nothing.undefined, nothing.patients) == (0, 1, 0)
    assert np.isnan([nothing.mean, nothing.low, nothing.p]).all() and not beyond_chance(nothing, nothing.p)
    single = paired([0.9, 0.8], [0.5, 0.5], ["a", "a"])
    assert single.mean == pytest.approx(0.35) and math.isnan(single.low) and single.p == 1
    assert not beyond_chance(single, single.p)
    assert paired([], [], []).n == 0


def test_both_must_say_so():
    assert beyond_chance(Difference(9, 0, 0.1, 0.05, 0.2, 0.01, 9, 0.8), 0.01)
    assert not beyond_chance(Difference(9, 0, 0.1, 0.05, 0.2, 0.06, 9, 0.8), 0.06)
    assert not beyond_chance(Difference(9, 0, 0.1, -0.01, 0.2, 0.01, 9, 0.8), 0.01)
    assert beyond_chance(Difference(9, 0, -0.1, -0.2, -0.05, 0.01, 9, -0.8), 0.01)


def test_a_mean_that_a_few_make_against_the_ranks_is_no_difference():
    changes = np.array([0.12] * 8 + [-0.003] * 52) + np.linspace(-1e-4, 1e-4, 60)
    found = paired(changes, np.zeros(60), names(range(60)))
    assert found.low > 0 > found.rank_biserial and found.p < 0.01
    assert not beyond_chance(found, found.p)


def test_what_is_equal_but_for_rounding_is_no_difference():
    one = np.array([0.1 + 0.2, 0.3, 0.7])
    assert paired(one, [0.3, 0.1 + 0.2, 0.7], names(range(3))).p == 1


def test_holm_is_pingouins():
    generator = np.random.default_rng(3)
    for _ in range(1000):
        values = generator.random(int(generator.integers(1, 20))) ** 3
        values[generator.random(values.size) < 0.15] = np.nan
        if not np.isnan(values).all():
            np.testing.assert_allclose(holm(values), pingouin.multicomp(values, method="holm")[1], atol=1e-6)


def test_holm_by_hand():
    assert holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([]).tolist() == [] and np.isnan(holm([math.nan])).all()
    assert holm([0.6, 0.7]).tolist() == [1, 1]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12), st.randoms())
def test_holm_keeps_order_and_place(values, random):
    got = holm(values)
    assert (np.isnan(got) == np.isnan(values)).all()
    defined = [(one, other) for one, other in zip(values, got, strict=True) if not math.isnan(one)]
    assert all(one <= other <= 1 for one, other in defined)
    assert [other for _, other in sorted(defined)] == sorted(other for _, other in defined)
    order = random.sample(range(len(values)), len(values))
    np.testing.assert_allclose(holm([values[i] for i in order]), got[order], atol=1e-12)
