import numpy as np
import pytest
from skimage.measure import regionprops

from fundusseg.measures import Measures, measure


def ellipse(centre, axes, turn, shape=(200, 220)):
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    y, x = y - centre[0], x - centre[1]
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    return (u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1


def height(axes, turn):
    """Upright extent of an ellipse whose first axis is turned by ``turn`` from the horizontal."""
    return 2 * np.hypot(axes[0] * np.sin(turn), axes[1] * np.cos(turn))


def width(axes, turn):
    return 2 * np.hypot(axes[0] * np.cos(turn), axes[1] * np.sin(turn))


def test_ratios_of_ellipses_within_a_pixel_s_worth():
    """The bound |error| <= (1 + ratio) / disc extent: each of the two extents is off by a pixel at most."""
    rng = np.random.default_rng(0)
    for _ in range(150):
        centre = rng.uniform([90, 90], [110, 130])
        disc_axes = rng.uniform(30, 70, 2)
        cup_axes, turn, cup_turn = disc_axes.min() * rng.uniform(0.2, 0.9, 2), *rng.uniform(0, np.pi, 2)
        labels = ellipse(centre, disc_axes, turn).astype(np.uint8)
        labels[ellipse(centre, cup_axes, cup_turn)] = 2
        got = measure(labels)
        for extent, ratio, pixels in (
            (height, got.vertical_cdr, got.disc_height),
            (width, got.horizontal_cdr, got.disc_width),
        ):
            true = extent(cup_axes, cup_turn) / extent(disc_axes, turn)
            assert abs(ratio - true) <= (1 + true) / pixels
        true = np.prod(cup_axes) / np.prod(disc_axes)
        # An area is off by a small part of its outline.
        assert abs(got.area_cdr - true) <= 0.02
        assert got.reason == ""


def test_sizes_agree_with_scikit_image():
    labels = ellipse((90, 100), (60, 45), 0.4).astype(np.uint8)
    labels[ellipse((92, 101), (20, 30), 1.1)] = 2
    disc, cup = regionprops((labels > 0).astype(int))[0], regionprops((labels == 2).astype(int))[0]
    got = measure(labels)
    assert (got.disc_area, got.cup_area) == (disc.area, cup.area)
    assert (got.disc_height, got.disc_width) == (disc.bbox[2] - disc.bbox[0], disc.bbox[3] - disc.bbox[1])
    assert (got.cup_height, got.cup_width) == (cup.bbox[2] - cup.bbox[0], cup.bbox[3] - cup.bbox[1])


def test_by_hand():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    labels[10:15, 12:16] = 2
    assert measure(labels) == Measures(5 / 20, 4 / 10, 20 / 200, 200, 20, 20, 10, 5, 4, "")


def test_no_disc_is_undefined():
    got = measure(np.zeros((30, 30), np.uint8))
    assert got.reason == "no disc found"
    for name in Measures.__dataclass_fields__:
        assert name == "reason" or np.isnan(getattr(got, name))


def test_a_disc_without_cup_has_ratio_zero_with_the_reason():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    assert measure(labels) == Measures(0, 0, 0, 200, 0, 20, 10, 0, 0, "no cup found: ratio 0")


def test_a_cup_nobody_looked_for_is_undefined_not_zero():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    got = measure(labels, regions=("disc",))
    assert np.isnan(got.vertical_cdr)
    assert np.isnan(got.cup_area)
    assert got.disc_height == 20
    assert got.reason == "no cup looked for"
    assert measure(labels * 2, regions=("cup",)).reason == "no disc looked for"


@pytest.mark.parametrize("shape", [(1, 1), (9, 4)])
def test_a_cup_that_fills_the_disc_has_ratio_one(shape):
    got = measure(np.full(shape, 2, np.uint8))
    assert (got.vertical_cdr, got.horizontal_cdr, got.area_cdr, got.reason) == (1, 1, 1, "")
