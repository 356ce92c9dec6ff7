"""A site's convention comes out of a few eyes, and nothing is claimed where there is none."""

import numpy as np
import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.evaluation.site_calibration import (
    SHIFTS,
    UNMOVED,
    SiteCalibration,
    calibrate_site,
    fit_shift,
    fit_without_each,
    measured_gain,
    site_interval,
)
from fundusseg.evaluation.site_eyes import RatioReadings
from fundusseg.inference.conventions import lowered
from fundusseg.inference.uncertainty import FLOOR, Calibration
from tests.support.simulated_site import eyes

OWN = {"disc": 0.5, "cup": 0.5}


def fitted(count: int, shift: float, seed: int = 0, before: Calibration | None = None, **settings) -> SiteCalibration:
    return calibrate_site(eyes(count, shift, seed, **settings), OWN, before, views=4, coverage=0.9)


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


@pytest.mark.parametrize("shift", [-2.0, 1.4])
@pytest.mark.parametrize("drawn", [True, False], ids=["outlines", "ratios alone"])
def test_a_known_shift_is_found_and_its_gain_shown(shift, drawn):
    found = fitted(10, shift, drawn=drawn)
    assert found.fitted == ("cup",) and found.thresholds["disc"] == 0.5
    # A reader's logit scatters by 0.5, so that the mean of 10 is known to 0.16; the grid is 0.2.
    assert logit(found.thresholds["cup"]) == pytest.approx(shift, abs=0.4)
    gains = {gain.name: gain for gain in found.gains}
    assert gains["vertical ratio error"].shown and gains["vertical ratio error"].after < 0.03
    assert ("cup Dice" in gains) == drawn
    assert found.remarks[0].startswith("Bias of the vertical ratio before")


def test_nothing_is_claimed_and_the_thresholds_stay_where_the_readers_agree_with_the_network():
    found = fitted(10, 0.0)
    assert found.thresholds == OWN and not found.fitted
    assert all(gain.gain == 0 for gain in found.gains if not gain.name.endswith("loss"))
    assert "split conformal" in found.guarantee and found.interval.count == 10


def simulated(count: int, shift: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Each eye's signed error of the ratio at each of `SHIFTS`, and the spread of its views: numbers alone."""
    spreads = generator.gamma(2, 0.01, count)
    slopes = generator.uniform(0.03, 0.06, count)  # what a logit changes of a ratio
    return slopes[:, None] * (shift - SHIFTS) + (generator.standard_t(4, count) * (spreads + 0.02))[:, None], spreads


def test_a_gain_that_is_not_there_is_claimed_in_few_of_many_sites():
    generator = np.random.default_rng(3)
    claimed = 0
    for _ in range(300):
        losses = np.abs(simulated(10, 0.0, generator)[0])
        patients = [f"p{number}" for number in range(10)]
        after = losses[range(10), fit_without_each(losses, patients)]
        claimed += measured_gain("cup loss", losses[:, UNMOVED], after, patients).shown
    assert claimed <= 0.03 * 300


@pytest.mark.parametrize(("shift", "lowest"), [(0.0, 0.89), (-1.6, 0.87)], ids=["split conformal", "jackknife"])
def test_the_interval_holds_new_eyes_as_often_as_it_says(shift, lowest):
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        errors, spreads = simulated(14, shift, generator)
        patients = [f"p{number}" for number in range(14)]
        left_out = fit_without_each(np.abs(errors), patients) if shift else [UNMOVED] * 14
        at = fit_shift(np.abs(errors)) if shift else UNMOVED
        interval, promise = site_interval(errors[range(14), left_out], spreads, None, 4, 0.9, bool(shift))
        assert ("jackknife" in promise) == bool(shift)
        new, new_spreads = simulated(100, shift, generator)
        covered.append(np.mean(np.abs(new[:, at]) <= interval.factor * (new_spreads + FLOOR)))
    assert lowest < np.mean(covered) < 0.96


def test_too_few_eyes_promise_nothing_and_widen_the_bundles_own_interval():
    before = Calibration(factor=0.1, coverage=0.9, count=50, views=4)
    found = fitted(6, 0.0, before=before, noise=1.0)
    assert found.interval.factor > 0.1 and found.interval.count == 50 and found.guarantee.startswith("none: 6 eyes")
    wide = Calibration(factor=90.0, coverage=0.9, count=50, views=4)
    assert fitted(6, 0.0, before=wide).interval == wide
    assert fitted(6, 0.0).interval is None
    with pytest.raises(ConfigurationError, match="4 eyes of 4 patients"):
        fitted(4, 0.0)


def test_eyes_of_one_patient_are_left_out_together():
    made = eyes(10, -2.0)
    one = made[0].record.patient
    for eye in made:
        object.__setattr__(eye.record, "patient", one)
    with pytest.raises(ConfigurationError, match="10 eyes of 1 patients"):
        calibrate_site(made, OWN, None, views=4, coverage=0.9)


def test_the_prior_holds_where_eyes_say_little():
    indifferent = np.zeros((5, len(SHIFTS)))
    assert SHIFTS[fit_shift(indifferent)] == 0
    # A loss that one eye's noise explains moves nothing far; what all eyes say does.
    slope = np.tile(0.002 * SHIFTS, (5, 1))
    assert -1.5 < SHIFTS[fit_shift(slope)] < 0
    assert SHIFTS[fit_shift(20 * slope)] == SHIFTS[0]


def test_thresholds_stay_inside_0_and_1():
    assert 0 < lowered(0.0, 6.0) < lowered(0.5, 6.0) < lowered(1.0, -6.0) < 1


TABLE = "file;patient;vertical_cdr\na.png;p1;0,55\nb.png;p1;0.6\n"


def test_a_table_of_ratios_is_read(tmp_path):
    (tmp_path / "ratios.csv").write_text(TABLE)
    (tmp_path / "a.png").touch()
    found = RatioReadings(tmp_path / "ratios.csv")
    assert [record.name for record in found.records] == ["a.png", "b.png"]
    assert [record.patient for record in found.records] == ["p1", "p1"]
    assert found.records[0].image == tmp_path / "a.png" and [*found.ratios.values()] == [0.55, 0.6]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TABLE.replace("0,55", "55"), "'55' as ratio in line 2"),
        (TABLE.replace("0.6", "?"), "line 3"),
        (TABLE.replace("vertical_cdr", "value"), "one named vertical_cdr or vcdr"),
        (TABLE.replace("b.png", "a.png"), "twice"),
        ("", "cannot be read"),
    ],
)
def test_a_table_that_is_wrong_is_one_sentence(tmp_path, text, words):
    (tmp_path / "ratios.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        RatioReadings(tmp_path / "ratios.csv")
