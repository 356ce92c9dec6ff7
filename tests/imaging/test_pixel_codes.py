"""Stored numbers as 8 bits, for any numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fundusseg.errors import ImageError
from fundusseg.imaging.pixel_codes import eight_bits, grey_plane, palette_codes


@settings(max_examples=200, deadline=None)
@given(arrays(np.uint16, (3, 4)), st.sampled_from([12, 14, 16]))
def test_scaling_keeps_order_and_says_how_much_it_scaled(pixels, depth):
    scaled, light = eight_bits(pixels, "a.png", depth)
    assert (np.diff(scaled.ravel()[pixels.ravel().argsort(kind="stable")].astype(int)) >= 0).all()
    assert 0 < light <= 1
    brightest = int(pixels.max())
    assert scaled.max() <= 255 and (brightest < 256 or scaled.max() >= 63), "two bits at most are lost"
    if brightest < 2**depth:
        # What became 255 stands for the light that was there, to a grey level.
        assert scaled.max() / 255 * light == pytest.approx(brightest / (2**depth - 1), abs=1 / 255)


@settings(max_examples=100, deadline=None)
@given(arrays(np.uint8, (4, 5), elements=st.integers(0, 3)), st.permutations(range(4)))
def test_a_palette_of_greys_gives_the_greys_in_any_order(codes, order):
    greys = np.array([0, 85, 170, 255], np.uint8)
    # Index order[i] shows the grey of i: however a tool has sorted its palette, the picture is the same.
    palette = np.zeros((4, 3), np.uint8)
    palette[list(order)] = greys[:, None]
    assert np.array_equal(palette_codes(np.array(order, np.uint8)[codes], palette, "a.png"), greys[codes])


@settings(max_examples=100, deadline=None)
@given(arrays(np.uint8, (3, 4, 4)))
def test_a_plane_is_given_only_where_it_is_all_there_is(pixels):
    try:
        plane = grey_plane(pixels, "a.png")
    except ImageError:
        assert (pixels[..., :3] != pixels[..., :1]).any() or np.ptp(pixels[..., 0]) == 0
    else:
        assert (pixels[..., :3] == plane[..., None]).all()


def test_fractions_are_refused():
    with pytest.raises(ImageError, match=r"float32.*a\.tif"):
        eight_bits(np.zeros((2, 2), np.float32), "a.tif")
