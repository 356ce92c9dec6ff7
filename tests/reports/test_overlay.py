import numpy as np
import pytest

from fundusseg.errors import ImageError
from fundusseg.reports.overlay import CUP_COLOUR, DISC_COLOUR, TRUTH_COLOUR, overlay, panel


def labels(size, disc=(0.2, 0.8), cup=(0.4, 0.6)):
    codes = np.zeros((size, size), np.uint8)
    for code, (first, last) in ((1, disc), (2, cup)):
        codes[int(first * size) : int(last * size), int(first * size) : int(last * size)] = code
    return codes


def has(picture, colour):
    return np.all(picture == np.array(colour), axis=-1)


def test_overlay_draws_the_outlines_where_the_regions_end():
    image = np.full((200, 200, 3), (180, 90, 30), np.uint8)
    before = image.copy()
    drawn = overlay(image, labels(200))
    assert np.array_equal(image, before)
    assert drawn.dtype == np.uint8
    rows, columns = np.nonzero(has(drawn, DISC_COLOUR))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 159, 40, 159)
    rows, columns = np.nonzero(has(drawn, CUP_COLOUR))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (80, 119, 80, 119)
    # Inside and outside stay as they were.
    assert drawn[100, 100].tolist() == drawn[60, 60].tolist() == drawn[10, 10].tolist() == [180, 90, 30]
    assert not has(drawn, TRUTH_COLOUR).any()


def test_overlay_shows_truth_and_prediction_where_they_agree():
    drawn = overlay(np.zeros((800, 800, 3), np.uint8), labels(800), labels(800))
    for colour in (DISC_COLOUR, CUP_COLOUR, TRUTH_COLOUR):
        assert has(drawn, colour).any()


def test_a_line_is_one_pixel_at_any_size_with_a_half_dark_pixel_on_each_side():
    for size in (200, 2000):
        drawn = overlay(np.full((size, size, 3), 200, np.uint8), labels(size, cup=(0, 0)))
        edge = size // 5
        across = drawn[size // 2, edge - 3 : edge + 4].tolist()
        plain, shade = [200, 200, 200], [100, 100, 100]
        assert across == [plain, plain, shade, list(DISC_COLOUR), shade, plain, plain]


def test_a_wider_line_outlives_shrinking():
    drawn = overlay(np.zeros((200, 200, 3), np.uint8), labels(200, cup=(0, 0)), line=2)
    assert has(drawn, DISC_COLOUR)[100, :100].sum() == 3


def test_overlay_of_nothing_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.array_equal(overlay(image, np.zeros((50, 60), np.uint8)), image)


def test_overlay_needs_one_size():
    with pytest.raises(ImageError, match="60 x 50"):
        overlay(np.zeros((50, 50, 3), np.uint8), np.zeros((50, 60), np.uint8))
    with pytest.raises(ImageError, match="40 x 50"):
        overlay(np.zeros((50, 50, 3), np.uint8), np.zeros((50, 50), np.uint8), np.zeros((50, 40), np.uint8))


def test_panel_places_pictures_row_by_row():
    pictures = [np.full((20, 30, 3), level, np.uint8) for level in (100, 150, 200)]
    grid = panel(pictures, columns=2)
    assert grid.shape == (41, 61, 3)
    assert (grid[:20, :30] == 100).all()
    assert (grid[:20, 31:] == 150).all()
    assert (grid[21:, :30] == 200).all()
    assert (grid[20] == 64).all()
    assert (grid[21:, 31:] == 64).all()


def test_panel_is_no_wider_than_its_pictures():
    assert panel([np.zeros((20, 30, 3), np.uint8)], columns=4).shape == (20, 30, 3)


def test_panel_needs_pictures_of_one_size():
    with pytest.raises(ImageError):
        panel([], columns=2)
    with pytest.raises(ImageError):
        panel([np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)], columns=2)
