"""A mask's centre, axes and tilt against scikit-image and against ellipses of known axes."""

import math

import numpy as np
import pytest
from skimage.measure import regionprops

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.measures.moments import moments
from tests.miniatures.pairs import random_pairs

SHAPE = (260, 280)


def test_centre_and_axes_are_scikit_images():
    for mask, _ in random_pairs(200):
        for part in regionprops(mask.astype(np.uint8)):
            got = moments(mask)
            assert (got.area, got.y, got.x) == pytest.approx((part.area, *part.centroid))
            # Scikit-image takes a pixel for a point, or for a square, by version; it makes 4 sqrt(1/12) at the most.
            assert got.axes == pytest.approx((part.axis_major_length, part.axis_minor_length), abs=1.2)


@pytest.mark.parametrize("degrees", [-60, -20, 0.001, 30, 75])
def test_an_ellipse_has_its_own_axes_and_tilt(degrees):
    mask = Ellipse(140, 130, 40, 90, math.radians(degrees)).mask(SHAPE)
    got = moments(mask)
    assert got.axes == pytest.approx((180, 80), abs=0.5)
    assert abs(got.tilt()) == pytest.approx(abs(degrees), abs=0.2)
    assert moments(mask[:, ::-1]).tilt() == pytest.approx(-got.tilt(), abs=1e-6)
    assert got.tilt("OS") == pytest.approx(-got.tilt("OD"), abs=1e-6)
    assert (got.ellipse(SHAPE) != mask).mean() < 0.001


def test_what_has_no_axis_has_no_tilt():
    square = np.zeros((9, 9), bool)
    square[2:7, 2:7] = True
    assert math.isnan(moments(square).tilt())
    empty = moments(np.zeros((4, 4), bool))
    assert empty.area == 0 and math.isnan(empty.x)
    pixel = np.zeros((4, 4), bool)
    pixel[1, 2] = True
    assert moments(pixel).axes == pytest.approx((4 / math.sqrt(12),) * 2)
    assert np.array_equal(moments(pixel).ellipse((4, 4)), pixel)
