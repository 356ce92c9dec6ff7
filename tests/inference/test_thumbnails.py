import io

import numpy as np
import pytest
from PIL import Image

from fundusseg.inference.thumbnails import SIDE, thumbnail
from fundusseg.reports.overlay import CUP_COLOUR, DISC_COLOUR


def picture(height, width, disc, cup):
    """A label map of squares, as (top, left, side)."""
    labels = np.zeros((height, width), np.uint8)
    for code, (top, left, side) in ((1, disc), (2, cup)):
        labels[top : top + side, left : left + side] = code
    return labels


def seen(content, colour):
    """Where a colour is drawn: first and last row and column."""
    pixels = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    assert pixels.shape == (SIDE, SIDE, 3)
    rows, columns = np.nonzero(np.abs(pixels - colour).max(axis=-1) < 110)
    return rows.min(), rows.max(), columns.min(), columns.max()


# The second disc lies so near the corner that the square moves into the picture.
@pytest.mark.parametrize(("top", "left", "first"), [(700, 900, 40), (0, 20, 0)])
def test_the_disc_fills_half_of_the_side(top, left, first):
    labels = picture(1600, 2000, (top, left, 400), (top + 100, left + 100, 200))
    content = thumbnail(np.zeros((1600, 2000, 3), np.uint8), labels)
    disc, cup = seen(content, DISC_COLOUR), seen(content, CUP_COLOUR)
    side = first if left > 400 else 4
    assert disc == pytest.approx((first, first + 80, side, side + 80), abs=2)
    assert cup == pytest.approx((first + 20, first + 60, side + 20, side + 60), abs=2)


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_without_a_disc_the_whole_photograph_is_shown(shape):
    image = np.full((*shape, 3), 200, np.uint8)
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(image, np.zeros(shape, np.uint8)))))
    assert pixels[SIDE // 2, SIDE // 2].tolist() == [200] * 3
    assert (pixels > 100).all(axis=-1).mean() == pytest.approx(0.6, abs=0.02)


def test_a_disc_as_large_as_the_picture():
    labels = np.ones((90, 120), np.uint8)
    assert thumbnail(np.full((90, 120, 3), 99, np.uint8), labels)[:2] == b"\xff\xd8"
