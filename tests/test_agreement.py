import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fundusseg.agreement import agreement
from fundusseg.datasets.ellipse import Ellipse
from fundusseg.errors import ImageError

SHAPE = (200, 220)
maps = arrays(np.uint8, (7, 9), elements=st.integers(0, 2))


def circles(disc, cup):
    labels = Ellipse(*disc, disc[-1], 0).mask(SHAPE).astype(np.uint8)
    labels[Ellipse(*cup, cup[-1], 0).mask(SHAPE)] = 2
    return labels


def test_circles_give_the_ratio_of_their_radii_and_the_distance_of_their_centres():
    got = agreement(circles((100, 100, 80), (100, 100, 30)), circles((103, 104, 72), (95, 88, 36)))
    assert got.disc_radii_ratio == pytest.approx(72 / 80, abs=0.005)
    assert got.cup_radii_ratio == pytest.approx(30 / 36, abs=0.01)
    assert got.disc_centre_distance == pytest.approx(5, abs=0.1)
    assert got.cup_centre_distance == pytest.approx(13, abs=0.1)
    assert got.reason == ""


@settings(max_examples=60, deadline=None)
@given(maps, maps)
def test_either_may_be_the_reference(one, other):
    there, back = agreement(one, other), agreement(other, one)
    assert there.disc_radii_ratio == pytest.approx(back.disc_radii_ratio, nan_ok=True)
    assert there.cup_centre_distance == pytest.approx(back.cup_centre_distance, nan_ok=True)
    same = agreement(one, one)
    if (one == 2).any():
        assert (same.disc_radii_ratio, same.cup_radii_ratio, same.disc_centre_distance) == (1, 1, 0)


def test_what_is_missing_is_said():
    both, disc = circles((100, 100, 80), (100, 100, 30)), np.zeros(SHAPE, np.uint8)
    disc[50:150, 50:150] = 1
    got = agreement(disc, both)
    assert (got.cup_radii_ratio, got.reason) == (0, "no cup found") and np.isnan(got.cup_centre_distance)
    assert agreement(both, disc).reason == "no cup in the reference"
    got = agreement(disc, disc)
    assert np.isnan([got.cup_radii_ratio, got.cup_centre_distance]).all() and got.reason == "no cup in either map"
    got = agreement(disc, both, regions=("disc",))
    assert np.isnan(got.cup_radii_ratio) and got.reason == "no cup looked for" and got.disc_radii_ratio > 0


def test_sizes_must_be_equal():
    with pytest.raises(ImageError, match="9 x 7"):
        agreement(np.zeros((7, 9), np.uint8), np.zeros((9, 7), np.uint8))
