from collections import Counter

import numpy as np
import pytest

from fundusseg.data.sampling import SourceSampler

SOURCES = [0] * 30 + [1] * 6 + [2] * 3


def indices(sampler: SourceSampler) -> list[int]:
    return [index for index, _ in sampler]


def test_without_weights_each_sample_once():
    assert sorted(indices(SourceSampler(SOURCES, None, seed=0))) == list(range(39))


def test_weights_give_each_source_its_share_evenly_over_its_samples():
    drawn = Counter(indices(SourceSampler(SOURCES, [1, 1, 2], seed=0, length=120)))
    by_source = Counter({s: sum(n for i, n in drawn.items() if SOURCES[i] == s) for s in range(3)})
    assert by_source == {0: 30, 1: 30, 2: 60}
    assert {drawn[i] for i in range(30)} == {1}
    assert {drawn[i] for i in range(30, 36)} == {5}
    assert {drawn[i] for i in range(36, 39)} == {20}


def test_weight_zero_leaves_a_source_out():
    assert {SOURCES[i] for i in indices(SourceSampler(SOURCES, [1, 0, 1], seed=0))} == {0, 2}


def test_a_source_without_training_samples_takes_no_share():
    sampler = SourceSampler([0, 0, 2, 2], [1, 5, 1], seed=0, length=8)
    assert Counter(indices(sampler)) == {0: 2, 1: 2, 2: 2, 3: 2}


@pytest.mark.parametrize("weights", [None, [1, 2, 3]])
def test_epoch_and_seed_decide_every_draw(weights):
    one, two = (SourceSampler(SOURCES, weights, seed=4) for _ in range(2))
    assert list(one) == list(two)
    two.set_epoch(1)
    assert list(one) != list(two)
    assert list(one) != list(SourceSampler(SOURCES, weights, seed=5))
    assert len({seed for _, seed in one}) == len(SOURCES)


@pytest.mark.parametrize("weights", [None, [1, 0, 2]])
def test_odds_are_met_to_the_next_whole_number_within_each_source(weights):
    odds = np.random.default_rng(0).uniform(0.2, 3, len(SOURCES))
    sampler = SourceSampler(SOURCES, weights, seed=3, length=1000, odds=odds)
    drawn = Counter(indices(sampler))
    sizes = np.bincount(SOURCES) if weights is None else np.array(weights)
    shares = sizes / sizes.sum() * 1000
    wanted = odds * (shares / np.bincount(SOURCES, odds))[SOURCES]
    of_source = np.bincount(SOURCES, [drawn[index] for index in range(len(SOURCES))])
    assert of_source.tolist() == pytest.approx(shares, abs=1)
    assert all(abs(drawn[index] - wanted[index]) < 1.01 for index in range(len(SOURCES)))
    assert sum(drawn.values()) == 1000
    again = SourceSampler(SOURCES, weights, seed=3, length=1000, odds=odds)
    assert list(again) == list(sampler)
    again.set_epoch(1)
    assert list(again) != list(sampler)


def test_equal_odds_take_each_sample_once():
    assert sorted(indices(SourceSampler(SOURCES, None, seed=0, odds=np.ones(len(SOURCES))))) == list(range(39))
