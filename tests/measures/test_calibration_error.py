import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error

from fundusseg.errors import ImageError
from fundusseg.measures.calibration_error import BINS, Reliability, expected_calibration_error

probabilities = arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32))
truths = arrays(np.bool_, (4, 5))


def error_of(counted):
    return expected_calibration_error([counted]).of(np.ones(1, bool))


def picture(generator, size=(12, 15)):
    """Probabilities that are now too high, now too low, most of them near 0 and 1 as a network's are."""
    guess = generator.beta(*generator.uniform(0.2, 2, 2), size).astype(np.float32)
    return guess, generator.random(size) < guess ** generator.uniform(0.3, 3)


def test_error_is_torchmetrics_on_a_thousand_pictures():
    generator, largest = np.random.default_rng(0), 0.0
    for _ in range(1000):
        guess, truth = picture(generator)
        # torchmetrics asks for the likelier answer's confidence, unless it is told that there are two answers.
        expected = binary_calibration_error(
            torch.from_numpy(guess.ravel()), torch.from_numpy(truth.ravel()).int(), BINS
        )
        largest = max(largest, abs(error_of(Reliability.of(guess, truth)) - expected.item()))
    print("largest difference", largest)
    assert largest < 1e-6


def test_curve_is_sklearns():
    generator = np.random.default_rng(1)
    for _ in range(200):
        guess, truth = picture(generator)
        share, mean = calibration_curve(truth.ravel(), guess.ravel(), n_bins=BINS)
        curve = np.array([row for row in Reliability.of(guess, truth).curve() if row[2]])
        np.testing.assert_allclose(curve[:, 0], mean, atol=1e-6)
        np.testing.assert_allclose(curve[:, 1], share, atol=1e-6)
        assert curve[:, 2].sum() == guess.size


def test_by_hand():
    guess = np.array([[0.0, 1.0, 0.75, 0.75]], np.float32)
    got = Reliability.of(guess, np.array([[False, True, True, False]]))
    assert error_of(got) == pytest.approx((0 + 0 + 2 * 0.25) / 4)
    curve = got.curve()
    assert curve[0] == (0, 0, 1) and curve[-1] == (1, 1, 1) and curve[11] == (0.75, 0.5, 2)
    assert np.isnan(curve[5][:2]).all() and curve[5][2] == 0 and len(curve) == BINS
    worst = Reliability.of(np.ones((3, 3), np.float32), np.zeros((3, 3), bool))
    assert error_of(worst) == 1


def test_what_is_sure_and_right_has_no_error():
    truth = np.random.default_rng(2).random((9, 9)) < 0.3
    assert error_of(Reliability.of(truth.astype(np.float32), truth)) == 0


def test_probabilities_that_are_true_have_little_error():
    generator = np.random.default_rng(3)
    guess = generator.random((500, 500)).astype(np.float32)
    assert error_of(Reliability.of(guess, generator.random((500, 500)) < guess)) < 0.005


def test_no_pixel_has_no_error():
    assert np.isnan(error_of(Reliability.empty()))
    assert Reliability.empty() == Reliability.of(np.zeros((0, 5), np.float32), np.zeros((0, 5), bool))


@settings(max_examples=60, deadline=None)
@given(probabilities, truths, probabilities, truths)
@pytest.mark.slow
def test_parts_add_up_in_any_order(one, true_one, other, true_other):
    first, second = Reliability.of(one, true_one), Reliability.of(other, true_other)
    whole = Reliability.of(np.concatenate([one, other]), np.concatenate([true_one, true_other]))
    assert first + second == whole == second + first + Reliability.empty()
    assert 0 <= error_of(whole) <= 1 and first != "something else"


def test_sizes_must_be_equal():
    with pytest.raises(ImageError, match="9 x 7 pixels"):
        Reliability.of(np.zeros((7, 9), np.float32), np.zeros((9, 7), bool))
