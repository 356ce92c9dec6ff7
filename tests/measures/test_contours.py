import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import points_in_poly

from fundusseg.datasets._phantom_ellipse import Ellipse, grid
from fundusseg.errors import ImageError
from fundusseg.measures.contours import as_json, contours, filled
from fundusseg.measures.label_map import label_map, region_mask

BOTH = ("disc", "cup")
DISC, CUP = Ellipse(90.3, 80.7, 60, 45, 0.5), Ellipse(85.1, 82.2, 25, 30, 1.1)
probabilities = st.integers(1, 12).flatmap(
    lambda height: st.integers(1, 12).flatmap(
        lambda width: arrays(np.float32, (2, height, width), elements=st.sampled_from([0.0, 0.3, 0.45, 0.55, 0.6, 1.0]))
    )
)


def soft(ellipse, shape=(160, 180)):
    """A probability that falls over a few pixels and is a half on the ellipse's line."""
    return 1 / (1 + np.exp((ellipse.radius(*grid(shape)) - 1) * min(ellipse.a, ellipse.b) / 2))


def distance(points, ellipse):
    """From the ellipse's line, in pixels, to first order."""
    x, y = points.T.astype(np.float32)
    radius = np.array([ellipse.radius(b[None], a[None]) for a, b in zip(x, y, strict=True)]).ravel()
    return np.abs(radius - 1) * max(ellipse.a, ellipse.b)


def area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def test_outlines_of_ellipses_lie_on_them_to_a_tenth_of_a_pixel():
    values = np.stack([soft(DISC), soft(CUP)]).astype(np.float32)
    outlines = contours(label_map(values, BOTH), values)
    for region, ellipse in (("disc", DISC), ("cup", CUP)):
        assert distance(outlines[region], ellipse).max() < 0.1
        assert area(outlines[region]) == pytest.approx(ellipse.area, rel=0.002)


def test_without_probabilities_the_map_s_own_border_within_a_pixel():
    labels = DISC.mask((160, 180)).astype(np.uint8)
    labels[CUP.mask(labels.shape)] = 2
    outlines = contours(labels)
    for region, ellipse in (("disc", DISC), ("cup", CUP)):
        assert distance(outlines[region], ellipse).max() < 1
        assert area(outlines[region]) == pytest.approx(ellipse.area, rel=0.01)


def test_thresholds_move_the_outline():
    values = np.stack([soft(DISC), soft(CUP)]).astype(np.float32)
    areas = []
    for threshold in (0.3, 0.5, 0.7):
        thresholds = {"disc": threshold, "cup": 0.5}
        areas.append(area(contours(label_map(values, BOTH, thresholds), values, BOTH, thresholds)["disc"]))
    assert areas[0] > areas[1] + 50 > areas[2] + 100


def test_stray_parts_and_holes_leave_no_line():
    values = soft(DISC).astype(np.float32)[None].copy()
    whole = contours(label_map(values, ("disc",)), values, ("disc",))["disc"]
    values[0, 70:80, 80:90] = 0.1
    values[0, 150:156, 5:12] = 0.9
    assert np.array_equal(contours(label_map(values, ("disc",)), values, ("disc",))["disc"], whole)


def test_an_outline_at_the_picture_s_edge_is_closed():
    outline = contours(np.full((10, 20), 2, np.uint8))["cup"]
    assert (outline.min(axis=0), outline.max(axis=0)) == (pytest.approx([-0.5, -0.5]), pytest.approx([19.5, 9.5]))


def test_nothing_has_no_outline():
    labels = np.zeros((10, 20), np.uint8)
    assert contours(labels)["disc"].shape == (0, 2)
    labels[3:6, 3:6] = 1
    assert len(contours(labels)["disc"]) > 4 and contours(labels)["cup"].shape == (0, 2)


def test_json():
    labels = np.zeros((10, 20), np.uint8)
    labels[4, 7] = 1
    plain = json.loads(json.dumps(as_json(contours(labels))))
    assert sorted(plain["disc"]) == [[6.5, 4.0], [7.0, 3.5], [7.0, 4.5], [7.5, 4.0]]
    assert plain["cup"] == []


def test_sizes_must_fit():
    with pytest.raises(ImageError, match="2 x 10 x 20"):
        contours(np.zeros((10, 20), np.uint8), np.zeros((2, 20, 10), np.float32))


@pytest.mark.parametrize("smoothing", ["none", "ellipse", "convex"])
@settings(max_examples=100, deadline=None)
@given(probabilities, st.sampled_from([0.4, 0.5]), st.sampled_from([0.4, 0.5]))
def test_an_outline_holds_its_region_s_pixels_and_no_others(smoothing, values, disc_threshold, cup_threshold):
    thresholds = {"disc": disc_threshold, "cup": cup_threshold}
    labels = label_map(values, BOTH, thresholds, smoothing)
    rows, columns = np.indices(labels.shape)
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    outlines = contours(labels, values, BOTH, thresholds)
    for region in BOTH:
        mask = region_mask(labels, region)
        assert len(outlines[region]) or not mask.any()
        if mask.any():
            assert np.array_equal(points_in_poly(centres, outlines[region]).reshape(mask.shape), mask)


@settings(max_examples=100, deadline=None)
@given(probabilities, st.sampled_from([0.4, 0.5]), st.sampled_from([0.4, 0.5]))
def test_the_cup_s_outline_never_leaves_the_disc_s(values, disc_threshold, cup_threshold):
    thresholds = {"disc": disc_threshold, "cup": cup_threshold}
    outlines = contours(label_map(values, BOTH, thresholds), values, BOTH, thresholds)
    if len(outlines["cup"]):
        inwards = outlines["cup"] + 1e-6 * (outlines["cup"].round() - outlines["cup"])
        disc, cup = outlines["disc"], inwards
        assert (points_in_poly(cup, disc) | (np.abs(cup[:, None] - disc[None]).sum(2).min(1) < 1e-4)).all()


@settings(max_examples=100, deadline=None)
@given(probabilities, st.sampled_from([0.4, 0.5]), st.sampled_from([0.4, 0.5]))
def test_an_outline_that_is_filled_is_its_label_map_again(values, disc_threshold, cup_threshold):
    thresholds = {"disc": disc_threshold, "cup": cup_threshold}
    labels = label_map(values, BOTH, thresholds)
    assert np.array_equal(filled(contours(labels, values, BOTH, thresholds), labels.shape), labels)


def test_a_cup_beyond_its_disc_is_cut_off_and_a_disc_beyond_the_picture_ends_at_its_edge():
    square = np.array([[-30.0, -30.0], [5.0, -30.0], [5.0, 5.0], [-30.0, 5.0]])
    labels = filled({"disc": square, "cup": square + 3}, (20, 10))
    assert labels.shape == (20, 10)
    assert (labels[:5, :5] == 2).sum() == 25
    assert labels.sum() == 50


@pytest.mark.parametrize("points", [[[1, 1], [2, 2]], [[1, 1], [2, 2], [np.nan, 1]], [[1, 1], [2, 2], [1e5, 1]]])
def test_an_outline_that_is_none_is_refused(points):
    with pytest.raises(ImageError, match=r"outline of the cup with \d points"):
        filled({"cup": points}, (20, 10))
