import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.measures.agreement import agreement
from tests.miniatures.pairs import random_pairs

SHAPE = (200, 220)
masks = arrays(np.bool_, (7, 9))


def circle(x: float, y: float, radius: float) -> np.ndarray:
    return Ellipse(x, y, radius, radius, 0).mask(SHAPE)


def test_circles_give_the_ratio_of_their_radii_and_the_distance_of_their_centres():
    got = agreement(circle(100, 100, 80), circle(103, 104, 72))
    assert got.radii_ratio == pytest.approx(72 / 80, abs=0.005)
    assert got.centre_distance == pytest.approx(5, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(masks, masks)
def test_both_ways_round_are_the_same(one, other):
    there, back = agreement(one, other), agreement(other, one)
    assert (there.radii_ratio, there.centre_distance) == pytest.approx(
        (back.radii_ratio, back.centre_distance), nan_ok=True
    )
    assert math.isnan(there.radii_ratio) or 0 <= there.radii_ratio <= 1


def test_a_thousand_pairs_are_as_scikit_image_measures_them():
    for found, true in random_pairs():
        one, other = (regionprops(mask.astype(np.uint8)) for mask in (found, true))
        got = agreement(found, true)
        if one and other:
            ratio = math.sqrt(min(one[0].area, other[0].area) / max(one[0].area, other[0].area))
            assert got.radii_ratio == pytest.approx(ratio, abs=1e-6)
            assert got.centre_distance == pytest.approx(math.dist(one[0].centroid, other[0].centroid), abs=1e-6)
        else:
            assert math.isnan(got.centre_distance)


def test_nothing_is_zero_on_one_side_and_undefined_on_both():
    nothing = np.zeros(SHAPE, bool)
    one = agreement(circle(50, 50, 9), nothing)
    assert one.radii_ratio == 0 and math.isnan(one.centre_distance)
    both = agreement(nothing, nothing)
    assert math.isnan(both.radii_ratio) and math.isnan(both.centre_distance)
