"""What is corrected next: the unsure before the sure, the strange before the known, a patient's second eye last."""

import math

import numpy as np

from fundusseg.service.expected_gain import GREEDY, Candidate, by_expected_gain, candidate


def one(name: str, uncertainty: float = math.nan, place: float = 0.0, patient: str = "") -> Candidate:
    return Candidate(name, patient or name, uncertainty, (place, 0.5, math.nan))


def test_the_unsure_come_first_and_what_is_corrected_is_left_out():
    several = [one("sure", 0.1), one("unsure", 0.8), one("done", 0.9), one("between", 0.3)]
    assert by_expected_gain(several, {"done"}) == ["unsure", "between", "sure"]


def test_the_strange_come_before_the_known():
    several = [one("done", place=0), one("like it", place=0.1), one("far", place=9), one("as far", place=9.1)]
    order = by_expected_gain(several, {"done"})
    assert order == ["as far", "like it", "far"]
    # the second far one is like the first, which comes before it
    assert by_expected_gain([*several, one("middle", place=4.5)], {"done"})[:2] == ["as far", "middle"]


def test_a_second_eye_of_a_patient_comes_later():
    several = [one("P left", 0.9, patient="P"), one("P right", 0.8, patient="P"), one("Q", 0.7), one("R", 0.1)]
    several.append(one("S", 0.05))
    assert by_expected_gain(several, ()) == ["P left", "Q", "P right", "R", "S"]
    assert by_expected_gain(several, {"P left"}) == ["Q", "P right", "R", "S"]


def test_each_comes_once_however_many_there_are():
    chance = np.random.default_rng(0)
    several = [one(f"{n}", chance.random(), chance.normal()) for n in range(GREEDY + 200)]
    order = by_expected_gain(several, {"3"})
    assert sorted(order, key=int) == [f"{n}" for n in range(GREEDY + 200) if n != 3]
    assert by_expected_gain([], ()) == [] and by_expected_gain(several[:1], {"0"}) == []


def test_what_the_store_keeps_is_enough():
    photograph = {"id": "x", "patient": "P", "width": 200, "height": 100}
    outlines = {"disc": [50, 20, 60, 70, 40, 30], "cup": []}
    measures = {"vertical_cdr": 0.4, "vertical_cdr_low": 0.3, "vertical_cdr_high": 0.6, "failure_risk": None}
    found = candidate(photograph, {"measures": measures, "contours": outlines})
    assert math.isclose(found.uncertainty, 0.3)
    assert found.features[1:] == (0.4, 0.5)
    nothing = candidate(photograph, {"measures": {"vertical_cdr": None}, "contours": {}})
    assert nothing.uncertainty == math.inf and math.isnan(nothing.features[1])
