"""Overlap, surface distances, size and place: each against independent references, closed forms and empty masks."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric import binary
from scipy.spatial.distance import cdist
from skimage.measure import regionprops
from skimage.metrics import contingency_table
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.errors import ImageError
from fundusseg.measures.region_metrics import SurfaceDistance, overlap, size_and_place, surface_distance
from tests.miniatures.pairs import SHAPE, degenerate_pairs, random_pairs

masks = arrays(np.bool_, (6, 7))
LARGE = (200, 220)


# --- overlap


def by_sklearn(pairs):
    """The four shares of every pair, each pair a label of its own."""
    found, truth = (np.stack([mask.ravel() for mask in masks], axis=1) for masks in zip(*pairs, strict=True))
    each = [
        measure(truth, found, average=None, zero_division=np.nan)
        for measure in (f1_score, precision_score, recall_score)
    ]
    jaccard = jaccard_score(truth, found, average=None, zero_division=0)
    jaccard[np.isnan(each[0])] = np.nan  # it knows no NaN of its own
    return np.stack([each[0], jaccard, *each[1:]], axis=1)


def by_skimage(pairs):
    """From scikit-image's table of joint shares."""
    rows = []
    for found, truth in pairs:
        table = contingency_table(truth.astype(int), found.astype(int), sparse_type="array").toarray()
        table = np.pad(table, ((0, 2 - table.shape[0]), (0, 2 - table.shape[1])))
        both, one, other = table[1, 1], table[:, 1].sum(), table[1].sum()
        rows.append((np.array([2, 1, 1, 1]) * both, [one + other, one + other - both, one, other]))
    parts, wholes = np.array(rows).transpose(1, 0, 2)
    with np.errstate(invalid="ignore"):
        return parts / wholes


def shares(result):
    return [result.dice, result.iou, result.precision, result.recall]


@pytest.mark.parametrize("reference", [by_sklearn, by_skimage])
@pytest.mark.slow
def test_overlap_is_as_in_the_reference(reference):
    pairs = [*random_pairs(1000), *degenerate_pairs().values()]
    got = np.array([shares(overlap(*pair)) for pair in pairs])
    print(reference.__name__, "largest difference", np.nanmax(np.abs(got - reference(pairs))))
    np.testing.assert_allclose(got, reference(pairs), rtol=0, atol=1e-6)


def test_overlap_that_is_undefined():
    pairs = degenerate_pairs()
    nothing_found = overlap(*pairs["empty prediction"])
    assert (nothing_found.dice, nothing_found.iou, nothing_found.recall) == (0, 0, 0)
    assert math.isnan(nothing_found.precision)
    nothing_true = overlap(*pairs["empty truth"])
    assert (nothing_true.dice, nothing_true.iou, nothing_true.precision) == (0, 0, 0)
    assert math.isnan(nothing_true.recall)
    assert np.isnan(shares(overlap(*pairs["both empty"]))).all()
    assert shares(overlap(*pairs["the same pixel"])) == [1, 1, 1, 1]


def test_overlap_by_hand():
    found, truth = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    found[:4, :4], truth[:4, 2:8] = True, True
    assert shares(overlap(found, truth)) == [2 * 8 / 40, 8 / 32, 8 / 16, 8 / 24]


@settings(max_examples=100, deadline=None)
@given(masks, masks)
def test_the_shares_hang_together(one, other):
    there, back = overlap(one, other), overlap(other, one)
    assert (there.precision, there.recall) == pytest.approx((back.recall, back.precision), nan_ok=True)
    assert there.dice == pytest.approx(back.dice, nan_ok=True)
    assert there.dice == pytest.approx(2 * there.iou / (1 + there.iou), nan_ok=True)
    if there.precision + there.recall > 0:
        assert 1 / there.dice == pytest.approx((1 / there.precision + 1 / there.recall) / 2)


@settings(max_examples=50, deadline=None)
@given(masks, masks, st.integers(1, 5))
def test_background_around_it_changes_nothing(found, truth, width):
    wider = overlap(np.pad(found, width), np.pad(truth, width))
    assert shares(wider) == pytest.approx(shares(overlap(found, truth)), nan_ok=True)


def test_overlap_needs_equal_sizes():
    with pytest.raises(ImageError, match="9 x 7 pixels"):
        overlap(np.zeros((7, 9), bool), np.zeros((9, 7), bool))


# --- surface distances


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


def distances_of(found, truth):
    result = surface_distance(found, truth)
    return result.hd95, result.assd


@pytest.mark.slow
@pytest.mark.parametrize("reference", [by_medpy, by_simpleitk])
def test_surface_distance_is_as_in_the_reference(reference):
    pairs = [*random_pairs(1000), *degenerate_pairs().values()]
    got, expected = (np.array([measure(*pair) for pair in pairs]) for measure in (distances_of, reference))
    print(reference.__name__, "largest difference", np.nanmax(np.abs(got - expected)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["empty prediction", "empty truth", "both empty"])
def test_nothing_has_no_distance(name):
    assert np.isnan(distances_of(*degenerate_pairs()[name])).all()
    assert math.isnan(SurfaceDistance().hd95)


def test_surface_distance_by_hand():
    one, other = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    one[3, 4] = other[6, 8] = True
    assert distances_of(one, other) == (5, 5)
    square, shifted = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    square[10, 10:20], shifted[13, 10:20] = True, True
    assert distances_of(square, shifted) == (3, 3)
    inner, outer = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    inner[10:21, 10:21], outer[8:23, 8:23] = True, True
    # 40 pixels at 2; of the outer 56 the 4 corners at sqrt(8), their 8 neighbours at sqrt(5), 44 at 2.
    assert surface_distance(inner, outer).assd == pytest.approx((84 * 2 + 4 * 8**0.5 + 8 * 5**0.5) / 96)


@settings(max_examples=100, deadline=None)
@given(masks, masks, st.integers(0, 4), st.integers(0, 4))
def test_either_may_be_the_truth_and_the_place_is_all_the_same(one, other, below, right):
    there = distances_of(one, other)
    assert distances_of(other, one) == pytest.approx(there, nan_ok=True)
    place = ((0, below), (0, right))
    assert distances_of(np.pad(one, place), np.pad(other, place)) == pytest.approx(there, nan_ok=True)
    assert not one.any() or distances_of(one, one) == (0, 0)
    assert math.isnan(there[0]) or there[0] <= math.hypot(5, 6)


def test_surface_distance_needs_equal_sizes():
    with pytest.raises(ImageError, match="9 x 7 pixels"):
        surface_distance(np.zeros((7, 9), bool), np.zeros((9, 7), bool))


def test_hd95_pools_both_directions_where_monai_takes_the_larger():
    """Two pixels of 22 lie far off: more than 5 % of one direction, less than 5 % of both together."""
    line, more = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    line[5, :20] = more[5, :20] = True
    more[15, :2] = True
    distances = cdist(np.argwhere(more), np.argwhere(line))
    directed = [np.percentile(distances.min(axis=axis), 95) for axis in (0, 1)]
    pooled = np.percentile(np.concatenate([distances.min(axis=0), distances.min(axis=1)]), 95)
    assert max(directed) > 9 and pooled == 0
    assert surface_distance(line, more).hd95 == pooled


# --- size and place


def circle(x: float, y: float, radius: float) -> np.ndarray:
    return Ellipse(x, y, radius, radius, 0).mask(LARGE)


def test_circles_give_the_ratio_of_their_radii_and_the_distance_of_their_centres():
    got = size_and_place(circle(100, 100, 80), circle(103, 104, 72))
    assert got.radii_ratio == pytest.approx(72 / 80, abs=0.005)
    assert got.centre_distance == pytest.approx(5, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(masks, masks)
def test_size_and_place_both_ways_round_are_the_same(one, other):
    there, back = size_and_place(one, other), size_and_place(other, one)
    assert (there.radii_ratio, there.centre_distance) == pytest.approx(
        (back.radii_ratio, back.centre_distance), nan_ok=True
    )
    assert math.isnan(there.radii_ratio) or 0 <= there.radii_ratio <= 1


def test_a_thousand_pairs_are_as_scikit_image_measures_them():
    for found, true in random_pairs():
        one, other = (regionprops(mask.astype(np.uint8)) for mask in (found, true))
        got = size_and_place(found, true)
        if one and other:
            ratio = math.sqrt(min(one[0].area, other[0].area) / max(one[0].area, other[0].area))
            assert got.radii_ratio == pytest.approx(ratio, abs=1e-6)
            assert got.centre_distance == pytest.approx(math.dist(one[0].centroid, other[0].centroid), abs=1e-6)
        else:
            assert math.isnan(got.centre_distance)


def test_the_radii_ratio_of_nothing_is_zero_on_one_side_and_undefined_on_both():
    nothing = np.zeros(LARGE, bool)
    one = size_and_place(circle(50, 50, 9), nothing)
    assert one.radii_ratio == 0 and math.isnan(one.centre_distance)
    both = size_and_place(nothing, nothing)
    assert math.isnan(both.radii_ratio) and math.isnan(both.centre_distance)
