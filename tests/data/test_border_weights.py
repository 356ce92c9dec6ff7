"""The original U-Net's weight map."""

import numpy as np
import pytest

from fundusseg.data.border_weights import STEP, BorderWeights, balance
from fundusseg.errors import ConfigurationError


def squares(gap: int, size: int = 64) -> np.ndarray:
    """Two squares of 16 x 16, side by side."""
    target = np.zeros((size, size, 1), np.uint8)
    target[20:36, 8:24] = 255
    target[20:36, 24 + gap : 40 + gap] = 255
    return target


def test_gap_between_two_objects_weighs_as_the_formula_says():
    target = squares(gap=4)
    weights = BorderWeights()(target)[..., 0] * STEP
    share = (target > 127).mean()
    # The middle of the gap: its pixels' centres are 1.5 and 2.5 pixels from the two borders.
    assert weights[28, 25] == pytest.approx(0.5 / (1 - share) + 10 * np.exp(-(4**2) / 50), abs=STEP / 2)
    # Half a pixel within the first square: 0.5 to its own border, 4.5 to the other's.
    assert weights[28, 23] == pytest.approx(0.5 / share + 10 * np.exp(-(5**2) / 50), abs=STEP / 2)


def test_far_from_a_gap_only_the_classes_are_balanced():
    target = squares(gap=4)
    weights = BorderWeights()(target)[..., 0]
    assert weights[60, 2] * STEP == pytest.approx(0.5 / (1 - (target > 127).mean()), abs=STEP / 2)


def test_one_object_has_no_gap():
    target = np.zeros((32, 32, 1), np.uint8)
    target[8:24, 8:24] = 255
    assert np.unique(BorderWeights()(target)).size == 2


def test_distances_in_windows_equal_those_of_the_whole_picture():
    from scipy import ndimage

    random = np.random.default_rng(0)
    objects = ndimage.gaussian_filter(random.normal(size=(96, 96)), 3) > 0.02
    made = BorderWeights(sigma=4)
    nearest, second = made._distances(objects)
    labels, count = ndimage.label(objects)
    assert count > 3
    masks = [labels == number for number in range(1, count + 1)]
    edt = ndimage.distance_transform_edt
    every = np.sort([edt(mask) + edt(~mask) - 0.5 for mask in masks], axis=0)
    gap, whole = (np.exp(-((one + two) ** 2) / 32) for one, two in ((nearest, second), (every[0], every[1])))
    assert np.abs(gap - whole).max() < 1e-3


def test_background_may_hold_the_objects():
    walls = np.full((48, 48, 1), 255, np.uint8)
    walls[4:22, 4:44] = walls[26:44, 4:44] = 0
    weights = BorderWeights(objects="background")(walls)[..., 0]
    assert weights[24, 24] > 2 * weights[2, 24]
    assert BorderWeights(objects="region")(walls)[24, 24, 0] < weights[24, 24]


def test_classes_balance_to_one_in_the_mean():
    region = np.zeros((10, 10), bool)
    region[:3] = True
    assert balance(region).mean() == pytest.approx(1)
    assert balance(region)[region].sum() == pytest.approx(balance(region)[~region].sum())
    assert (balance(np.zeros((4, 4), bool)) == 1).all()


@pytest.mark.parametrize("wrong", [{"w0": -1}, {"sigma": 0}, {"objects": "cells"}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="border weights"):
        BorderWeights(**wrong)
