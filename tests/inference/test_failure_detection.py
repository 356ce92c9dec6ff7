"""A cut-off that is chosen by its aims keeps them on a source that it has not seen."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.inference.failure_detection import FailureDetector, FailureRow, choose_detector, failures
from fundusseg.inference.failure_signs import SIGNS, FailureSigns

SOURCES = ("one", "two", "three", "four")


def simulated(generator, count=100, telling=2.0, failing=0.15, sources=SOURCES):
    """Rows in which distance and spread tell of failures, as strongly as asked for, and blur of nothing."""
    rows = []
    for source in sources:
        for failed in generator.random(count) < failing:
            louder = np.exp(telling * failed + generator.normal(0, 0.5, 2))
            signs = FailureSigns(
                localiser_doubt=0.01,
                disc_distance=float(0.03 * louder[0]),
                ratio_spread=float(0.02 * louder[1]),
                blur=float(generator.uniform(0.2, 0.8)),
            )
            rows.append(FailureRow(source, signs, 0.2 * failed, 0.95))
    return rows


def shares(detector, rows):
    over = np.array([detector.risk(row.signs) >= detector.cut_off for row in rows])
    failed = failures(rows)
    return over[~failed].mean(), over[failed].mean()


def test_the_aims_hold_on_sources_that_did_not_choose():
    generator = np.random.default_rng(0)
    kept = []
    for _ in range(20):
        detector = choose_detector(simulated(generator))
        assert detector.reviewed <= 0.15 and detector.caught > 0.75
        kept.append(shares(detector, simulated(generator, sources=("five",), count=400)))
    reviewed, caught = np.mean(kept, axis=0)
    assert reviewed < 0.15 and caught > 0.87


def test_signs_that_tell_little_catch_less_and_do_not_review_more():
    detector = choose_detector(simulated(np.random.default_rng(1), telling=0.5, count=300))
    assert 0.08 < detector.reviewed <= 0.16 and 0.3 < detector.caught < 0.8
    generous = choose_detector(simulated(np.random.default_rng(1), telling=0.5, count=300), most_reviewed=0.6)
    assert generous.reviewed > detector.reviewed and generous.caught > detector.caught


def test_what_is_never_known_weighs_nothing_and_no_sign_speaks_for_an_outline():
    detector = choose_detector(simulated(np.random.default_rng(2)))
    weights = dict(zip(SIGNS, detector.weights, strict=True))
    assert min(weights.values()) >= 0 and weights["blur"] == 0 < weights["disc_distance"]
    assert weights["disc_vagueness"] == weights["localiser_doubt"] == 0, "never known, and always the same"


def test_risk_grows_with_each_sign_and_says_which_is_worst():
    detector = choose_detector(simulated(np.random.default_rng(3)))
    good = FailureSigns(localiser_doubt=0.01, disc_distance=0.03, ratio_spread=0.02, blur=0.5)
    apart, unsure = replace(good, disc_distance=1.5), replace(good, ratio_spread=0.9)
    assert detector.risk(good) < min(detector.risk(apart), detector.risk(unsure))
    assert detector.risk(good) < detector.cut_off < detector.risk(replace(apart, ratio_spread=0.9))
    assert (detector.strongest(apart), detector.strongest(unsure)) == ("disc distance", "ratio spread")
    assert 0 < detector.risk(FailureSigns()) < 1, "nothing known: what is middling"


def test_a_failure_is_a_wrong_disc_or_a_ratio_that_is_off_its_source_s_convention():
    fine, wrong = [(0.02, 0.9)] * 5 + [(math.nan, 0.9), (0.16, 0.85)], [(0.18, 0.9), (-0.14, 0.9), (0.02, 0.84)]
    rows = [FailureRow("a", FailureSigns(), *truth) for truth in (*fine, *wrong)]
    assert failures(rows).tolist() == [False] * len(fine) + [True] * len(wrong)
    strict = [replace(row, source="b", ratio_error=row.ratio_error - 0.2) for row in rows]
    assert failures([*rows, *strict]).tolist() == 2 * failures(rows).tolist(), "a convention is no failure"


def test_by_hand():
    centres, weights = [math.log(0.11)] + [0.0] * 7, [2.0] + [0.0] * 7
    detector = FailureDetector(tuple(centres), tuple(weights), -1.0, 0.5, 0.1, 0.9, (90, 10))
    assert detector.risk(FailureSigns(localiser_doubt=0.1)) == pytest.approx(1 / (1 + math.e))
    assert detector.risk(FailureSigns(localiser_doubt=0.21)) == pytest.approx(1 / (1 + math.exp(1 - 2 * math.log(2))))


@pytest.mark.parametrize("failing", [0.0, 0.03, 1.0])
def test_too_few_to_choose_by_are_refused(failing):
    with pytest.raises(ConfigurationError, match="to choose a cut-off"):
        choose_detector(simulated(np.random.default_rng(0), count=40, failing=failing))
    with pytest.raises(ConfigurationError, match="of 1 sources"):
        choose_detector(simulated(np.random.default_rng(0), sources=("one",), count=400))
    with pytest.raises(ConfigurationError, match="0 good photographs"):
        choose_detector([])
