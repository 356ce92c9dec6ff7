import math
import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fundusseg.measures.bootstrap as drawing
from fundusseg.measures.bootstrap import _bca_shares, clusters, mean_interval, sums_intervals
from fundusseg.measures.sufficient_statistics import mean
from tests.support.any_bootstrap import bootstrap

STUDIES = 1000


def names(numbers, prefix="patient"):
    return [f"{prefix} {number}" for number in numbers]


def coverage(study, truth, interval, studies=STUDIES):
    """Share of made studies whose interval holds the true figure."""
    held = 0
    for number in range(studies):
        low, high = interval(*study(np.random.default_rng(number)), seed=number % 4)
        held += low <= truth <= high
    return held / studies


def dice(generator, size):
    """Skewed as Dice is: mean 0.9, a long tail below."""
    return generator.beta(9, 1, size)


def pictures(generator):
    return dice(generator, 50), names(range(50))


def eyes(generator):
    """50 patients of one to five pictures each, which are far more alike than pictures of two patients."""
    patients = np.repeat(np.arange(50), 1 + np.arange(50) % 5)
    return dice(generator, 50)[patients] + generator.normal(0, 0.01, patients.size), names(patients)


def sources(generator):
    """Two sources of different size and mean, two pictures of each patient."""
    patients = np.repeat(np.arange(60), 2)
    source = np.where(patients < 20, 0, 1)
    values = dice(generator, 60)[patients] - 0.2 * source + generator.normal(0, 0.01, patients.size)
    return values, names(patients), names(source, "source")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "truth", "macro"),
    [
        (pictures, 0.9, False),
        (eyes, 0.9, False),
        (sources, 0.9 - 0.2 * 2 / 3, False),
        (sources, 0.9 - 0.2 * 1 / 2, True),
    ],
)
def test_intervals_cover(study, truth, macro):
    share = coverage(study, truth, partial(mean_interval, macro=macro))
    print(f"{study.__name__}, macro {macro}: {share:.1%}")
    assert 0.93 <= share <= 0.97


@pytest.mark.slow
def test_without_its_patients_an_interval_covers_too_seldom():
    def alone(values, patients, **keywords):
        return mean_interval(values, names(range(len(values))), **keywords)

    assert coverage(eyes, 0.9, alone, studies=200) < 0.85


@pytest.mark.slow
def test_any_statistic_covers():
    """The slow way, in fewer studies: the median of clustered values."""
    held, studies = 0, 200
    for number in range(studies):
        generator = np.random.default_rng(number)
        values = generator.normal(size=40)
        low, high = bootstrap(lambda i: float(np.median(values[i])), names(range(40)), resamples=300, seed=number)  # noqa: B023
        held += low <= 0 <= high
    assert 0.92 <= held / studies <= 0.98


def test_the_quick_way_is_the_slow_way():
    values, patients, source = sources(np.random.default_rng(0))
    values[3] = values[50] = np.nan

    def plain(i):
        return float(np.nanmean(values[i]))

    def macro(i):
        return float(np.mean([np.nanmean(values[i][np.array(source)[i] == name]) for name in set(source)]))

    assert mean_interval(values, patients) == pytest.approx(bootstrap(plain, patients), abs=1e-12)
    assert mean_interval(values, patients, source) == pytest.approx(
        bootstrap(plain, patients, strata=source), abs=1e-12
    )
    assert mean_interval(values, patients, source, macro=True) == pytest.approx(
        bootstrap(macro, patients, strata=source), abs=1e-12
    )


def test_the_bounds_are_scipys():
    """Of the same draws, and without the widening for few patients."""
    values = dice(np.random.default_rng(1), 40)
    reference = stats.bootstrap((values,), np.mean, n_resamples=5000, method="BCa", rng=np.random.default_rng(2))
    acceleration = stats.skew(values) / (6 * math.sqrt(40))  # of the mean, in closed form
    shares = _bca_shares(reference.bootstrap_distribution, values.mean(), acceleration, stats.norm.ppf(0.975))
    got = np.percentile(reference.bootstrap_distribution, [100 * share for share in shares])
    assert got == pytest.approx(list(reference.confidence_interval), abs=1e-6)


@pytest.mark.slow
def test_many_patients_are_scipys_interval_too():
    one, other = np.random.default_rng(3).normal(0.8, 0.1, 400), np.random.default_rng(4).beta(5, 1, 300)
    reference = stats.bootstrap(
        (one, other),
        lambda a, b, axis: (a.mean(axis) + b.mean(axis)) / 2,
        n_resamples=20000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    got = mean_interval(
        np.concatenate([one, other]), names(range(700)), ["one"] * 400 + ["other"] * 300, macro=True, resamples=20000
    )
    assert got == pytest.approx(list(reference), abs=0.02 * (reference.high - reference.low))


def test_of_normal_values_it_is_as_wide_as_students():
    generator = np.random.default_rng(0)
    for count in (5, 10, 30):
        values = np.sort(generator.normal(size=count))
        values -= values[::-1]  # symmetric: no bias, no skewness
        low, high = mean_interval(values, names(range(count)), resamples=20000)
        expected = stats.t.ppf(0.975, count - 1) * stats.sem(values)
        assert (high - low) / 2 == pytest.approx(expected, rel=0.15 if count == 5 else 0.05)


def test_the_seed_decides_and_nothing_else():
    values, patients = eyes(np.random.default_rng(0))
    assert mean_interval(values, patients) == mean_interval(values, patients)
    assert mean_interval(values, patients) != mean_interval(values, patients, seed=1)
    order = np.random.default_rng(1).permutation(len(values))
    shuffled = mean_interval(values[order], [patients[i] for i in order])
    assert shuffled == pytest.approx(mean_interval(values, patients), abs=1e-12)


def test_a_higher_level_is_wider():
    values, patients = eyes(np.random.default_rng(0))
    (low, high), (lower, higher) = (mean_interval(values, patients, level=level) for level in (0.8, 0.99))
    assert lower < low < values.mean() < high < higher


def test_too_few_patients_have_no_interval():
    for values, patients in ([], []), ([0.5], ["a"]), ([0.5, 0.6], ["a", "a"]), ([0.5, np.nan], ["a", "b"]):
        assert np.isnan(mean_interval(values, patients)).all()
        assert np.isnan(mean_interval(values, patients, patients, macro=True)).all()
    assert np.isnan(bootstrap(lambda i: 1.0, [])).all() and np.isnan(bootstrap(lambda i: 1.0, ["a", "a"])).all()
    assert np.isnan(mean_interval([0.1, 0.2, 0.3], ["a", "b", "c"], ["x", "y", "z"])).all()
    # No draw of four reaches beyond their range, which holds the true mean far too seldom.
    assert np.isnan(mean_interval([0.1, 0.2, 0.3, 0.4], names(range(4)))).all()
    low, high = mean_interval([0.1, 0.2, 0.3, 0.4, 0.5], names(range(5)))
    assert 0.1 <= low < 0.3 < high <= 0.5


def test_a_source_of_one_patient_stays_as_it_is():
    values, source = [0.5, 0.6, 0.7, 0.8, 0.9, 9.0], ["x"] * 5 + ["y"]
    low, high = mean_interval(values, names(range(6)), source, macro=True)
    assert 4.75 <= low < (0.7 + 9) / 2 < high <= 4.95
    assert np.isnan(mean_interval(values[1:], names(range(5)), source[1:], macro=True)).all(), "four are too few"


def test_what_never_varies_has_an_interval_of_no_width():
    assert mean_interval([0.9] * 8, names(range(8))) == pytest.approx((0.9, 0.9))


def test_draws_without_a_value_are_left_out():
    values = np.array([np.nan, 1.0, 2.0, 3.0, 4.0])
    low, high = bootstrap(lambda i: float(values[i].mean()), names(range(5)))
    assert math.isnan(low) and math.isnan(high)  # the figure itself is undefined

    def share(i):
        return float(np.nanmean(values[i])) if len(set(i.tolist())) > 1 else math.nan

    assert 1 <= bootstrap(share, names(range(5)))[0] < bootstrap(share, names(range(5)))[1] <= 4


def test_one_name_in_two_sources_is_two_patients():
    design = clusters(["a", "b", "a", "a"], ["y", "y", "x", "y"])
    assert design.group.tolist() == [1, 2, 0, 1] and design.sizes == (1, 2)
    assert clusters(["a", "b", "a"]).sizes == (2,)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.integers(0, 2)), min_size=2, max_size=40))
def test_bounds_are_in_order_and_within_the_values(rows):
    values, patients, source = [row[0] for row in rows], names(row[1] for row in rows), names(row[2] for row in rows)
    for low, high in (mean_interval(values, patients, source), mean_interval(values, patients)):
        assert math.isnan(low) == math.isnan(high)
        assert math.isnan(low) or min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


@pytest.mark.parametrize("macro", [False, True])
def test_draws_that_are_held_a_few_at_a_time_give_the_same_interval(monkeypatch, macro):
    random = np.random.default_rng(4)
    values, groups = random.normal(size=301), [f"{number // 2}" for number in range(301)]
    strata = [f"{number % 3}" for number in range(301)]
    monkeypatch.setattr(drawing, "_ROOM", 2**30)
    drawing._draws.cache_clear()
    at_once = mean_interval(values, groups, strata, macro=macro)
    monkeypatch.setattr(drawing, "_ROOM", 512)
    drawing._draws.cache_clear()
    assert mean_interval(values, groups, strata, macro=macro) == at_once


@pytest.mark.slow
def test_the_draws_of_many_patients_fit_into_memory():
    """They were 1.6 GB for each of four sets of 100,000 patients."""
    drawing._draws.cache_clear()
    values = np.random.default_rng(0).normal(size=100_000)
    tracemalloc.start()
    low, high = mean_interval(values, list(map(str, range(100_000))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    drawing._draws.cache_clear()
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(100_000), rel=0.1)
    assert peak < 600e6


@pytest.mark.parametrize("macro", [False, True])
def test_intervals_that_share_their_draws_are_those_of_each_alone(monkeypatch, macro):
    monkeypatch.setattr(drawing, "_AT_ONCE", 2)
    random = np.random.default_rng(7)
    columns = random.normal(size=(5, 60))
    columns[1, 3] = columns[1, 4] = columns[3, :56] = np.nan  # two patients less; too few patients for an interval
    patients, source = names(np.arange(60) // 2), names(np.arange(60) % 3 // 2, "source")
    together = sums_intervals([mean(values) for values in columns], patients, source, macro=macro, seed=3)
    alone = [mean_interval(values, patients, source, macro=macro, seed=3) for values in columns]
    np.testing.assert_array_equal(together, alone)
    assert len(set(together[:3])) == 3 and np.isnan(together[3]).all()
