import colorsys

import cv2
import numpy as np
import pytest

from fundusseg.data.static_variants import Variants, brighten
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.equalise import equalise

PAPER = {"copies": 16, "clahe": [0.04, 0.02], "brightness": [0.9, 1.1]}


def picture(side: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_the_papers_twenty_repeats():
    variants = Variants(**PAPER)
    assert len(variants) == 5
    assert np.bincount(variants.repeats).tolist() == [16, 1, 1, 1, 1]
    image = picture()
    made = variants(image)
    assert made.shape == (5, 24, 24, 3) and made.dtype == np.uint8
    for found, expected in zip(
        made,
        [image, equalise(image, 0.04), equalise(image, 0.02), brighten(image, 0.9), brighten(image, 1.1)],
        strict=True,
    ):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_brighten_scales_the_value_alone(factor):
    image = picture()
    changed = brighten(image, factor)
    for before, after in zip(image.reshape(-1, 3), changed.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation, min(1.0, value * factor))) * 255
        assert np.abs(after - expected).max() <= 1


def test_equalise_widens_a_flat_picture():
    # Large enough that a tile's clip limit is more than one pixel.
    flat = cv2.GaussianBlur(picture(160), (0, 0), 6)
    assert np.ptp(equalise(flat, 0.04)) > 2 * np.ptp(flat)
    assert not np.array_equal(equalise(flat, 0.04), equalise(flat, 0.02))


def test_nothing_asked_for_is_one_turn_of_the_picture():
    image = picture()
    assert np.array_equal(Variants()(image), image[None])
    assert Variants().repeats.tolist() == [0]


@pytest.mark.parametrize("wrong", [{"copies": 0}, {"clahe": [0.0]}, {"clahe": [2.0]}, {"brightness": [-1.0]}])
def test_out_of_range(wrong):
    with pytest.raises(ConfigurationError, match="variants of"):
        Variants(**wrong)
