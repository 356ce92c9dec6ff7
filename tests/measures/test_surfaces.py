import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric import binary

from fundusseg.errors import ImageError
from fundusseg.measures.surfaces import Surfaces, surface_distance
from tests.miniatures.pairs import SHAPE, degenerate_pairs, random_pairs

masks = arrays(np.bool_, (6, 7))


def by_medpy(found, truth):
    if not (found.any() and truth.any()):
        return math.nan, math.nan  # MedPy raises
    return binary.hd95(found, truth), binary.assd(found, truth)


def by_simpleitk(found, truth):
    """By ITK's contour filter and distance map; padded, since to ITK a mask goes on beyond the picture's border."""
    if not (found.any() and truth.any()):
        return math.nan, math.nan
    contours = [sitk.LabelContour(sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))) for mask in (found, truth)]
    # Maurer's map is exact; Danielsson's is not. Inside of a contour, one pixel wide, the sign makes no difference.
    maps = [
        np.abs(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(contour, squaredDistance=False)))
        for contour in contours
    ]
    one, other = (sitk.GetArrayFromImage(contour) > 0 for contour in contours)
    distances = np.concatenate([maps[1][one], maps[0][other]])
    return np.percentile(distances, 95), distances.mean()


def numbers(found, truth):
    result = surface_distance(found, truth)
    return result.hd95, result.assd


@pytest.mark.parametrize("reference", [by_medpy, by_simpleitk])
def test_random_and_degenerate_pairs_are_as_in_the_reference(reference):
    pairs = [*random_pairs(1000), *degenerate_pairs().values()]
    got, expected = (np.array([measure(*pair) for pair in pairs]) for measure in (numbers, reference))
    print(reference.__name__, "largest difference", np.nanmax(np.abs(got - expected)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["empty prediction", "empty truth", "both empty"])
def test_nothing_has_no_distance(name):
    assert np.isnan(numbers(*degenerate_pairs()[name])).all()
    assert math.isnan(Surfaces().hd95)


def test_by_hand():
    one, other = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    one[3, 4] = other[6, 8] = True
    assert numbers(one, other) == (5, 5)
    square, shifted = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    square[10, 10:20], shifted[13, 10:20] = True, True
    assert numbers(square, shifted) == (3, 3)
    inner, outer = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    inner[10:21, 10:21], outer[8:23, 8:23] = True, True
    # 40 pixels at 2; of the outer 56 the 4 corners at sqrt(8), their 8 neighbours at sqrt(5), 44 at 2.
    assert surface_distance(inner, outer).assd == pytest.approx((84 * 2 + 4 * 8**0.5 + 8 * 5**0.5) / 96)


@settings(max_examples=100, deadline=None)
@given(masks, masks, st.integers(0, 4), st.integers(0, 4))
def test_either_may_be_the_truth_and_the_place_is_all_the_same(one, other, below, right):
    there = numbers(one, other)
    assert numbers(other, one) == pytest.approx(there, nan_ok=True)
    place = ((0, below), (0, right))
    assert numbers(np.pad(one, place), np.pad(other, place)) == pytest.approx(there, nan_ok=True)
    assert not one.any() or numbers(one, one) == (0, 0)
    assert math.isnan(there[0]) or there[0] <= math.hypot(5, 6)


def test_sizes_must_be_equal():
    with pytest.raises(ImageError, match="9 x 7 pixels"):
        surface_distance(np.zeros((7, 9), bool), np.zeros((9, 7), bool))
