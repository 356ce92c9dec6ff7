import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage import measure

from fundusseg.errors import ConfigurationError
from fundusseg.masks import codes, label_map, region_mask

BOTH = ("disc", "cup")
probabilities = st.integers(1, 14).flatmap(
    lambda height: st.integers(1, 14).flatmap(
        lambda width: arrays(np.float32, (2, height, width), elements=st.sampled_from([0.0, 0.3, 0.6, 1.0]))
    )
)


def square(top, bottom, left, right, shape=(40, 40)):
    mask = np.zeros(shape, np.float32)
    mask[top:bottom, left:right] = 1
    return mask


def test_codes():
    assert codes(("disc", "cup")) == {"disc": 1, "cup": 2}
    assert codes(("cup", "disc")) == {"cup": 2, "disc": 1}
    assert codes(("disc",)) == {"disc": 1}
    assert codes(("sclera",)) == {"sclera": 1}
    assert codes(("a", "b")) == {"a": 1, "b": 2}
    assert codes(("vessel", "disc", "cup", "fovea")) == {"vessel": 3, "disc": 1, "cup": 2, "fovea": 4}


def test_rim_and_cup():
    disc, cup = square(5, 35, 5, 35), square(10, 20, 10, 20)
    labels = label_map(np.stack([disc, cup]), BOTH)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, (disc + cup).astype(np.uint8))
    assert np.array_equal(label_map(np.stack([cup, disc]), ("cup", "disc")), labels)


def test_the_largest_part_stays_with_its_holes_filled():
    disc = np.maximum(square(5, 25, 5, 25), square(30, 34, 30, 34))
    disc[10:12, 10:12] = 0
    labels = label_map(disc[None], ("disc",))
    assert np.array_equal(labels, square(5, 25, 5, 25))


def test_a_cup_that_leaves_the_disc_is_cut():
    labels = label_map(np.stack([square(5, 20, 5, 20), square(10, 40, 10, 40)]), BOTH)
    assert np.array_equal(labels == 2, square(10, 20, 10, 20).astype(bool))


def test_a_cup_on_the_disc_s_stray_part_is_lost_with_it():
    disc = np.maximum(square(5, 25, 5, 25), square(30, 34, 30, 34))
    assert not (label_map(np.stack([disc, square(30, 34, 30, 34)]), BOTH) == 2).any()


def test_a_cup_without_disc_channel_stands_alone():
    labels = label_map(square(10, 20, 10, 20)[None], ("cup",))
    assert np.array_equal(labels, 2 * square(10, 20, 10, 20))
    assert not label_map(np.stack([square(0, 0, 0, 0), square(10, 20, 10, 20)]), BOTH).any()


def test_thresholds_are_exclusive_and_by_region():
    values = np.full((2, 6, 6), 0.5, np.float32)
    assert not label_map(values, BOTH).any()
    assert (label_map(values, BOTH, {"disc": 0.4, "cup": 0.5}) == 1).all()
    assert (label_map(values, BOTH, 0.4) == 2).all()


def test_what_does_not_fit_is_an_error():
    values = np.zeros((2, 6, 6), np.float32)
    with pytest.raises(ConfigurationError, match="2, 6, 6"):
        label_map(values, ("disc",))
    with pytest.raises(ConfigurationError, match="'cup'"):
        label_map(values, BOTH, {"disc": 0.5})
    with pytest.raises(ConfigurationError, match="'vessel'"):
        region_mask(np.zeros((6, 6), np.uint8), "vessel", BOTH)


def test_nan_is_nothing():
    assert not label_map(np.full((2, 6, 6), np.nan, np.float32), BOTH).any()


def test_region_mask():
    labels = np.array([[0, 1, 2]], np.uint8)
    assert region_mask(labels, "disc", BOTH).tolist() == [[False, True, True]]
    assert region_mask(labels, "cup", BOTH).tolist() == [[False, False, True]]
    assert region_mask(labels, "b", ("a", "b")).tolist() == [[False, False, True]]
    assert region_mask(labels, "a", ("a", "b")).tolist() == [[False, True, False]]


@settings(max_examples=150, deadline=None)
@given(probabilities)
def test_a_cup_never_leaves_its_disc(values):
    labels = label_map(values, BOTH)
    disc = region_mask(labels, "disc", BOTH)
    # The disc alone is the same as the disc beside a cup: the cup adds nothing to it.
    assert np.array_equal(disc, label_map(values[:1], ("disc",)) == 1)
    assert not (region_mask(labels, "cup", BOTH) & ~disc).any()


@settings(max_examples=150, deadline=None)
@given(probabilities)
def test_each_area_is_one_part_without_holes(values):
    labels = label_map(values, BOTH)
    for region in BOTH:
        mask = region_mask(labels, region, BOTH)
        if mask.any():
            assert measure.label(mask, connectivity=2).max() == 1
            assert measure.label(np.pad(~mask, 1, constant_values=True), connectivity=1).max() == 1


@settings(max_examples=60, deadline=None)
@given(probabilities)
def test_agrees_with_scipy_and_scikit_image(values):
    labels = measure.label(values[0] > 0.5, connectivity=2)
    expected = np.zeros(labels.shape, bool)
    if labels.max():
        expected = ndimage.binary_fill_holes(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
    assert np.array_equal(label_map(values[:1], ("disc",)) == 1, expected)
