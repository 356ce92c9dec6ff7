"""One square of a photograph, combined at native size: where it lies, and what lies in it."""

import math

import numpy as np
import pytest

from fundusseg.imaging.roi import Box
from fundusseg.inference.square import combine, segmented_square

SHAPE = (60, 80)
THRESHOLDS = {"disc": 0.5, "cup": 0.5}


def disc_of(rows: slice, columns: slice, side: int = 20) -> np.ndarray:
    """Probabilities 2 x S x S: a block of disc without a cup."""
    view = np.zeros((2, side, side), np.float32)
    view[0, rows, columns] = 1
    return view


def segmented(square: Box, *views: np.ndarray):
    return segmented_square(square, [np.stack(views)], SHAPE, THRESHOLDS)


def test_what_lies_in_the_square_lies_at_its_place_in_the_photograph():
    found = segmented(Box(10, 30, 20, 20), disc_of(slice(5, 15), slice(2, 8)))
    rows, columns = np.nonzero(found.label_map)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 24, 32, 37)
    assert found.disc_circle == (20.0, 35.0, 10.0) and not found.disc_touches_edge()
    corners = found.outlines()["disc"]
    assert corners.min(0) == pytest.approx([31.5, 14.5]) and corners.max(0) == pytest.approx([37.5, 24.5])


@pytest.mark.parametrize(
    ("square", "inside"),
    [
        (Box(-10, -5, 20, 20), (slice(0, 10), slice(0, 15))),
        (Box(50, 70, 20, 20), (slice(50, 60), slice(70, 80))),
        (Box(-20, -20, 120, 120), (slice(0, 60), slice(0, 80))),
        (Box(-50, 10, 20, 20), (slice(0, 1), slice(10, 30))),  # beside the photograph: a row of it, no empty array
        (Box(200, 200, 20, 20), (slice(59, 60), slice(79, 80))),
    ],
)
def test_a_square_that_reaches_outside_is_cut_to_the_photograph(square, inside):
    where, probabilities = combine([np.ones((1, 1, 20, 20), np.float32)], square, SHAPE)
    assert where == inside
    assert probabilities.shape == (1, inside[0].stop - inside[0].start, inside[1].stop - inside[1].start)


def test_the_part_inside_is_that_part_of_the_square():
    view = np.zeros((1, 1, 20, 20), np.float32)
    view[..., 10:, 5:] = 1
    _, probabilities = combine([view], Box(-10, -5, 20, 20), SHAPE)
    assert probabilities == pytest.approx(1), "all of what lies in the photograph, and nothing of the rest"


def test_views_and_networks_of_several_sizes_are_averaged_alike():
    small, large = np.zeros((2, 1, 10, 10), np.float32), np.zeros((2, 1, 20, 20), np.float32)
    large[1] = 1
    _, probabilities = combine([small, large], Box(0, 0, 20, 20), SHAPE)
    assert probabilities == pytest.approx(0.25), "four views, one of which says 1"


def test_the_disc_at_the_pictures_edge_is_said():
    assert segmented(Box(0, 0, 20, 20), disc_of(slice(0, 8), slice(4, 12))).disc_touches_edge()
    assert not segmented(Box(0, 0, 20, 20), disc_of(slice(2, 8), slice(4, 12))).disc_touches_edge()


def test_spread_is_that_of_the_ratio_over_all_views():
    one, two = disc_of(slice(0, 10), slice(0, 10)), disc_of(slice(0, 10), slice(0, 10))
    two[1, 0:5, 2:6] = 1  # a cup half as high as the disc
    assert math.isnan(segmented(Box(0, 0, 20, 20), one).spread()), "one view says nothing of a spread"
    assert segmented(Box(0, 0, 20, 20), one, two).spread() == pytest.approx(np.std([0, 0.5], ddof=1))


def test_networks_that_know_no_disc_have_none():
    view = np.ones((1, 1, 8, 8), np.float32)
    found = segmented_square(Box(0, 0, 8, 8), [view], SHAPE, {"membrane": 0.5})
    assert found.disc.size == 0 and found.regions == ("membrane",) and (found.label_map > 0).sum() == 64
