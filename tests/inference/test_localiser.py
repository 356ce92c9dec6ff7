"""The disc's place in whole photographs and crops, with a network that reads it off the picture."""

from dataclasses import replace

import numpy as np
import pytest

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.roi import field_of_view
from fundusseg.inference.localiser import DiscLocation, locate_disc
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import NOT_LOCALISED, Predictor
from fundusseg.inference.uncertainty import Calibration
from tests.support.located import BOTH, CUP, DISC, LOCALISER, photograph, segmenter

DISC_AT = (222, 270)
"""A pixel of the rim."""


def locate(image: np.ndarray) -> DiscLocation | None:
    return locate_disc(LOCALISER, image, field_of_view(image))


def test_centre_and_diameter_in_pixels_of_the_photograph():
    place = locate(photograph())
    assert place is not None
    pixel = 560 / 128
    assert (place.row, place.column) == (pytest.approx(DISC.y, abs=pixel), pytest.approx(DISC.x, abs=pixel))
    assert place.diameter == pytest.approx(90, abs=2 * pixel)
    assert "a whole photograph" in place.how


def test_a_crop_is_recognised():
    whole = photograph()
    place = locate(whole[120:320, 200:400])
    assert place is not None and "a crop already" in place.how


def test_whole_photographs_and_crops_give_the_same_ratio():
    whole, mine = photograph(), Predictor(Bundle((BOTH,), LOCALISER))
    for image, size in ((whole, 90), (whole[120:320, 200:400], 90), (whole[::2, ::2].copy(), 45)):
        prediction = mine(image)
        assert prediction.measures.vertical_cdr == pytest.approx(25 / 45, abs=2 / size + 0.01)
        assert prediction.square.height == pytest.approx(2.4 * size, abs=2.4 * 560 / 128)
        assert prediction.label_map.shape == prediction.probabilities.shape[1:]


def test_two_networks_that_agree_in_every_view_hardly_spread():
    mine = Predictor(Bundle((BOTH, BOTH), LOCALISER), views=4)
    for image in (photograph(), photograph(height=500, width=640)):
        found = mine(image)
        assert [views.shape for views in found.views] == [(4, 2, 192, 192)] * 2
        assert found.spread == pytest.approx(0, abs=0.03)


def test_without_a_disc_the_fallback_is_said():
    faint = photograph(disc=Ellipse(x=1.0, y=1.0, a=0.1, b=0.1, angle=0.0))
    blind = segmenter((2,), ("disc",), image_size=128, roi="field_of_view")
    found = Predictor(Bundle((BOTH,), blind))(photograph(cup=Ellipse(x=1.0, y=1.0, a=0.1, b=0.1, angle=0.0)))
    assert found.how == NOT_LOCALISED and NOT_LOCALISED in found.reasons and found.verdict == "review"
    assert found.measures.disc_height == pytest.approx(90, abs=6)
    nothing = Predictor(Bundle((BOTH,), LOCALISER))(faint)
    assert nothing.verdict == "reject" and "no disc found" in nothing.reasons


@pytest.mark.parametrize(("aside", "cut"), [(0, False), (230, False), (250, True), (265, True)])
def test_a_disc_that_the_field_cuts_is_reviewed(aside, cut):
    disc, cup = replace(DISC, x=350.0 + aside, y=300.0), replace(CUP, x=350.0 + aside, y=300.0)
    image = photograph(disc=disc, cup=cup)
    image[~Ellipse(x=350.0, y=300.0, a=280.0, b=280.0, angle=0.0).mask((600, 700))] = 0
    found = Predictor(Bundle((BOTH,), LOCALISER))(image)
    assert (found.verdict == "review") == cut
    assert ("the disc is cut by the field of view's edge" in found.reasons) == cut


def test_the_localisers_square_is_not_moved_and_looked_at_once():
    once = Predictor(Bundle((BOTH,), LOCALISER))
    seen: list[int] = []
    once.bundle.segmenters[0].network.register_forward_hook(lambda *given: seen.append(len(given[1][0])))
    place = locate(photograph())
    assert place is not None and once(photograph()).square == place.square(2.4) and seen == [1]


@pytest.mark.parametrize(("shift", "factor", "apart"), [(0, 1.0, 0.0), (9, 1.0, 0.1), (0, 1.5, 0.25), (18, 0.8, 0.3)])
def test_circles_are_as_far_apart_as_their_outlines(shift, factor, apart):
    place = DiscLocation(row=100.0, column=200.0, diameter=90.0, how="")
    assert place.apart(100.0, 200.0 + shift, 90.0 * factor) == pytest.approx(apart)


@pytest.mark.parametrize(("aside", "asked"), [(8, False), (20, True)])
def test_discs_of_localiser_and_segmenter_that_differ_are_reviewed(aside, asked):
    image = photograph()
    # The localiser reads blue, the segmenter green: two discs beside each other.
    image[..., 2] = replace(DISC, x=DISC.x + aside).mask(image.shape[:2]) * np.uint8(200)
    blue = segmenter((2,), ("disc",), image_size=128, roi="field_of_view")
    green = segmenter((1,), ("disc",), image_size=192, roi="disc")
    found = Predictor(Bundle((green,), blue))(image)
    assert any("different discs" in reason for reason in found.reasons) == asked
    assert (found.verdict == "review") == asked


def test_a_localiser_that_finds_no_disc_by_trade_is_refused():
    with pytest.raises(ConfigurationError, match="finds the disc"):
        Bundle((BOTH,), segmenter((1,), ("cup",)))
    with pytest.raises(ConfigurationError, match="one kind"):
        Bundle((BOTH, LOCALISER))
    with pytest.raises(ConfigurationError, match="whole photographs"):
        Bundle((BOTH,), BOTH)


def test_segmenters_of_other_crops_do_not_look_at_one_square():
    narrow = segmenter((1, 2), ("disc", "cup"), image_size=192, roi="disc", roi_scale=1.6)
    with pytest.raises(ConfigurationError, match=r"in 1\.6 disc diameters and of disc, cup in 2\.4"):
        Bundle((BOTH, narrow))
    coarse = segmenter((1, 2), ("disc", "cup"), image_size=96, roi="disc")
    found = Predictor(Bundle((BOTH, coarse), LOCALISER))(photograph())
    assert found.measures.vertical_cdr == pytest.approx(25 / 45, abs=0.03)
    height, width = found.label_map.shape
    inside = found.probabilities[0, DISC_AT[0], DISC_AT[1]]
    assert found.label_map[DISC_AT] == 1 and inside > 0.9 and found.probabilities.shape == (2, height, width)


def test_the_interval_is_only_given_as_it_was_calibrated():
    bundle = Bundle((BOTH,), LOCALISER, Calibration(factor=1.0, coverage=0.9, count=50, views=4))
    assert Predictor(bundle)(photograph()).vertical_cdr_high <= 1
    for other in (Predictor(bundle, views=1), Predictor(bundle, views=2), Predictor(bundle, smoothing="ellipse")):
        found = other(photograph())
        assert np.isnan([found.vertical_cdr_low, found.vertical_cdr_high]).all()
        assert not any("uncertain" in reason for reason in found.reasons)


def test_what_is_neither_whole_nor_a_crop_is_rejected_without_numbers():
    lit = photograph()
    lit[lit.max(axis=2) == 0] = (150, 90, 60)
    found = Predictor(Bundle((BOTH,), LOCALISER))(lit)
    assert found.verdict == "reject" and "neither a whole photograph" in found.reasons[0]
    assert np.isnan(found.measures.vertical_cdr) and found.measures.reason == "rejected"
