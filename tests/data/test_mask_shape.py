import numpy as np
import pytest

from fundusseg.data.mask_shape import MaskShape


@pytest.fixture
def square() -> np.ndarray:
    """A square of 20 with a hole of 4, and a speck 30 columns to its right."""
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:40] = mask[50, 70] = True
    mask[18:20, 28:30] = False
    return mask


@pytest.mark.parametrize("layout", [np.asarray, np.asfortranarray, lambda mask: np.repeat(mask, 2, axis=1)[:, ::2]])
def test_a_square_with_a_hole_and_a_speck(square, layout):
    shape = MaskShape(layout(square))
    assert (shape.area, shape.count, shape.specks, shape.filled) == (397, 1, 1, 400)
    assert (shape.box.top, shape.box.left, shape.box.height, shape.box.width) == (10, 20, 41, 51)
    assert shape.hole == pytest.approx(0.01) and shape.solidity == pytest.approx(0.99)
    assert shape.grown == pytest.approx(51 / 20) and shape.border() == 0 and shape.large.sum() == 396


def test_what_touches_the_border(square):
    square[0] = True
    assert MaskShape(square).border() == pytest.approx(82 / 280)


def test_two_far_parts_fill_their_own_hulls():
    mask = np.zeros((60, 80), bool)
    mask[10:20, 10:20] = mask[40:50, 60:70] = True
    shape = MaskShape(mask)
    assert shape.count == 2 and shape.solidity < 0.25 and shape.solidity_of_parts == pytest.approx(1.0)
