"""Signs of a wrong outline: nothing where all agree, and by hand where they do not."""

import math

import numpy as np
import pytest

from fundusseg.imaging.roi import Box
from fundusseg.inference.failure_detection import FailureDetector
from fundusseg.inference.failure_signs import SIGNS, failure_signs
from fundusseg.inference.localiser import DiscLocation
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.square import segmented_square
from tests.support.located import BOTH, LOCALISER, photograph


def square(views):
    """A square of 40 pixels, of which each view gives disc and cup as rows of (first, last, probability)."""
    planes = np.zeros((len(views), 2, 40, 40), np.float32)
    for number, view in enumerate(views):
        for region, (first, last, probability) in enumerate(view):
            planes[number, region, first:last, 10:30] = probability
    return segmented_square(Box(0, 0, 40, 40), (planes,), (40, 40), {"disc": 0.5, "cup": 0.5})


def signs(views, location=None, localised=False, spread=0.0, sharpness=0.05):
    return failure_signs(square(views), location, localised, spread, sharpness)


def test_networks_that_agree_and_are_sure_give_no_sign():
    found = signs([((10, 30, 1.0), (15, 25, 1.0))] * 3, DiscLocation(20.0, 20.0, 20.0, "", 1.0), True)
    assert found.values() == pytest.approx([0, 0, 0, 0, 0, 0, 0, 0.5], abs=1e-6)


def test_what_is_not_known_is_not_a_number():
    found = signs([((10, 30, 1.0), (15, 25, 1.0))])
    unknown = [name for name, value in zip(SIGNS, found.values(), strict=True) if math.isnan(value)]
    assert unknown == ["localiser_doubt", "disc_distance", "disc_disagreement", "cup_disagreement"]
    blind = signs([((10, 30, 1.0), (15, 25, 1.0))], None, True)
    assert blind.localiser_doubt == 1 and math.isnan(blind.disc_distance)


def test_by_hand():
    found = signs([((10, 30, 0.8), (15, 25, 0.6))], DiscLocation(20.0, 25.0, 20.0, "", 0.9), True, 0.03, 0.2)
    # 2 * 0.8 / (0.8 + 1), and 2 * 0.6 / (0.6 + 1)
    assert (found.disc_vagueness, found.cup_vagueness) == (
        pytest.approx(1 / 9, abs=1e-5),
        pytest.approx(0.25, abs=1e-5),
    )
    assert found.localiser_doubt == pytest.approx(0.1) and found.disc_distance == pytest.approx(0.25)
    assert found.ratio_spread == 0.03 and found.blur == pytest.approx(0.2) and found.sharpness == pytest.approx(0.2)
    # Rows 10..29 and 10..39: their mean is above 0.5 in the first alone, of 20 rows; Dice 1 and 2 * 20 / 50.
    apart = signs([((10, 30, 1.0), (15, 25, 1.0)), ((10, 40, 0.9), (15, 25, 1.0))])
    assert apart.disc_disagreement == pytest.approx(0.1) and apart.cup_disagreement == pytest.approx(0, abs=1e-6)


def test_without_a_cup_in_any_view_it_is_vague_and_nobody_disagrees():
    found = signs([((10, 30, 1.0), (0, 0, 0.0))] * 2)
    assert (found.cup_vagueness, found.cup_disagreement) == (1, 0)


@pytest.mark.parametrize(("intercept", "verdict"), [(-9.0, "accept"), (9.0, "review")])
def test_the_risk_asks_for_a_person_in_place_of_fixed_limits(intercept, verdict):
    detector = FailureDetector((0.0,) * 8, (0.0,) * 6 + (1.0, 0.0), intercept, 0.5, 0.1, 0.9, (90, 10))
    found = Predictor(Bundle((BOTH,), LOCALISER, failure_detector=detector), views=4)(photograph())
    assert found.verdict == verdict and found.failure_risk == detector.risk(found.signs)
    assert [reason for reason in found.reasons if "may be wrong" in reason] == list(found.reasons)
    plain = Predictor(Bundle((BOTH,), LOCALISER), views=4)(photograph())
    assert plain.verdict == "accept" and plain.failure_risk is None and plain.signs == found.signs
