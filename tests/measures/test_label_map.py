import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage import measure, morphology

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.errors import ConfigurationError
from fundusseg.measures.label_map import codes, label_map, label_map_of_masks, region_mask

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


@pytest.mark.parametrize("smoothing", ["none", "ellipse", "convex"])
@settings(max_examples=150, deadline=None)
@given(probabilities, st.sampled_from([0.2, 0.5, 0.7]), st.sampled_from([0.2, 0.5, 0.7]))
@pytest.mark.slow
def test_a_cup_never_leaves_its_disc(smoothing, values, disc_threshold, cup_threshold):
    labels = label_map(values, BOTH, {"disc": disc_threshold, "cup": cup_threshold}, smoothing)
    disc = region_mask(labels, "disc", BOTH)
    # The disc alone is the same as the disc beside a cup: the cup adds nothing to it.
    assert np.array_equal(disc, label_map(values[:1], ("disc",), disc_threshold, smoothing) == 1)
    assert not (region_mask(labels, "cup", BOTH) & ~disc).any()


@pytest.mark.parametrize("smoothing", ["none", "ellipse", "convex"])
@settings(max_examples=150, deadline=None)
@given(probabilities)
def test_each_area_is_one_part_without_holes(smoothing, values):
    labels, plain = label_map(values, BOTH, smoothing=smoothing), label_map(values, BOTH)
    for region in BOTH:
        mask = region_mask(labels, region, BOTH)
        # What is found is smoothed, never lost and never made.
        assert mask.any() >= region_mask(plain, region, BOTH).any()
        if region == "disc":
            assert mask.any() == region_mask(plain, region, BOTH).any()
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


@settings(max_examples=100, deadline=None)
@given(probabilities)
@pytest.mark.filterwarnings("ignore:Failed to get convex hull")
def test_a_convex_disc_is_scikit_image_s(values):
    plain, convex = label_map(values, BOTH) > 0, label_map(values, BOTH, smoothing="convex") > 0
    expected = morphology.convex_hull_image(plain, offset_coordinates=False) if plain.any() else plain
    # Of a straight line of pixels scikit-image gives none.
    assert np.array_equal(convex, expected if expected.any() else plain)


def cut_by_a_vessel():
    """A disc and a cup with a strip missing, and without."""
    true = np.stack([Ellipse(60, 62, 40, 50, 0.4).mask((124, 120)), Ellipse(63, 60, 20, 26, 0.1).mask((124, 120))])
    cut = true.astype(np.float32)
    cut[0, 60:66, 85:] = 0
    cut[1, 45:49, 70:] = 0
    return cut, true


def test_the_convex_area_closes_what_a_vessel_cut():
    cut, true = cut_by_a_vessel()
    plain, convex = label_map(cut, BOTH), label_map(cut, BOTH, smoothing="convex")
    for region, whole in zip(BOTH, true, strict=True):
        assert (region_mask(convex, region) != whole).sum() < 0.7 * (region_mask(plain, region) != whole).sum()


def test_the_ellipse_has_the_area_s_own_centre_and_axes():
    cut, _ = cut_by_a_vessel()
    plain, ellipse = label_map(cut, BOTH), label_map(cut, BOTH, smoothing="ellipse")
    for region in BOTH:
        before, after = (measure.regionprops(region_mask(labels, region).astype(int))[0] for labels in (plain, ellipse))
        assert after.centroid == pytest.approx(before.centroid, abs=0.2)
        assert after.axis_major_length == pytest.approx(before.axis_major_length, abs=0.3)
        assert after.axis_minor_length == pytest.approx(before.axis_minor_length, abs=0.3)
        assert after.solidity > before.solidity


def test_smoothing_leaves_an_ellipse_as_it_is():
    disc, cup = Ellipse(60, 62, 40, 50, 0.4), Ellipse(63, 60, 20, 26, 0.1)
    values = np.stack([disc.mask((124, 120)), cup.mask((124, 120))]).astype(np.float32)
    plain = label_map(values, BOTH)
    assert np.array_equal(label_map(values, BOTH, smoothing="convex"), plain)
    assert np.count_nonzero(label_map(values, BOTH, smoothing="ellipse") != plain) <= 12


def test_only_disc_and_cup_are_smoothed():
    bent = np.maximum(square(5, 35, 5, 8), square(32, 35, 5, 35))[None]
    assert np.array_equal(label_map(bent, ("vessel",), smoothing="ellipse"), bent[0])


def test_an_unknown_smoothing_is_an_error():
    with pytest.raises(ConfigurationError, match="'ellipse'"):
        label_map(np.zeros((1, 6, 6), np.float32), ("disc",), smoothing="elipse")


def test_other_regions_keep_their_parts_and_holes():
    wall = np.zeros((1, 40, 40), np.float32)
    wall[0, ::8] = wall[0, :, ::8] = 0.9
    wall[0, 39, 20] = 0.9
    assert np.array_equal(label_map(wall, ["membrane"]) == 1, wall[0] > 0.5)


def test_masks_become_the_map_that_a_model_of_them_would_make():
    rng = np.random.default_rng(0)
    disc, cup, vessel = rng.random((3, 20, 30)) > 0.5
    both = label_map_of_masks({"cup": cup, "disc": disc}, BOTH)
    assert np.array_equal(region_mask(both, "disc"), disc) and np.array_equal(region_mask(both, "cup"), cup & disc)
    assert np.array_equal(label_map_of_masks({"disc": disc}, BOTH), disc)
    assert np.array_equal(label_map_of_masks({"cup": cup}, BOTH), 2 * cup), (
        "a cup without a labelled disc is drawn whole"
    )
    mixed = label_map_of_masks({"disc": disc, "vessel": vessel}, ("disc", "vessel"))
    assert np.array_equal(mixed, np.where(vessel, 3, disc))
