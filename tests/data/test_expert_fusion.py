"""Contours against closed forms, fusion against hand-counted pixels."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from fundusseg.data.expert_fusion import METHODS, fuse
from fundusseg.datasets._contour_files import rasterise, read_contour
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.sample import Annotation

SHAPE = (120, 150)


def contour(x, y, a, b, angle, points=2000):
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    u, v = a * np.cos(t), b * np.sin(t)
    return np.stack([x + u * np.cos(angle) - v * np.sin(angle), y + u * np.sin(angle) + v * np.cos(angle)], axis=1)


def radius(x, y, a, b, angle):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    u, v = columns - x, rows - y
    along = u * np.cos(angle) + v * np.sin(angle)
    across = v * np.cos(angle) - u * np.sin(angle)
    return np.hypot(along / a, across / b)


ellipses = st.tuples(st.floats(50, 100), st.floats(45, 75), st.floats(8, 40), st.floats(8, 40), st.floats(0, np.pi))


@settings(max_examples=50, deadline=None)
@given(ellipses)
def test_an_ellipse_holds_the_pixels_whose_centre_lies_inside(ellipse):
    mask, distance = rasterise(contour(*ellipse), SHAPE), radius(*ellipse)
    sure = np.abs(distance - 1) > 1e-3
    assert np.array_equal(mask[sure], distance[sure] < 1)


@pytest.mark.parametrize("ellipse", [(70.3, 60.7, 38.2, 30.1, 0.0), (75.0, 59.5, 35.5, 22.25, 0.6)])
def test_an_ellipse_has_its_closed_form_area_and_extent(ellipse):
    *_, a, b, angle = ellipse
    mask = rasterise(contour(*ellipse), SHAPE)
    assert mask.sum() == pytest.approx(np.pi * a * b, rel=0.005)
    assert np.ptp(np.flatnonzero(mask.any(1))) + 1 == pytest.approx(
        2 * np.hypot(a * np.sin(angle), b * np.cos(angle)), abs=1
    )


def test_whole_numbers_are_pixel_centres():
    mask = rasterise([(1.5, 0.5), (4.5, 0.5), (4.5, 2.5), (1.5, 2.5)], (5, 7))
    expected = np.zeros((5, 7), bool)
    expected[1:3, 2:5] = True
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 29), st.floats(0, 19)), min_size=3, max_size=12))
def test_any_polygon_agrees_with_scikit_image_away_from_its_edges(points):
    points = np.array(points)
    y, x = np.mgrid[:20, :30]
    start, end = points, np.roll(points, -1, axis=0)
    along = end - start
    pixels = np.stack([x, y], -1)[..., None, :] - start
    t = np.clip((pixels * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
    away = (np.linalg.norm(pixels - t[..., None] * along, axis=-1) > 1e-3).all(-1)
    try:
        mask = rasterise(points, (20, 30))
    except DatasetError:
        mask = np.zeros((20, 30), bool)
    reference = polygon2mask((20, 30), points[:, ::-1])
    assert np.array_equal(mask[away], reference[away])


def test_neighbours_share_no_pixel_and_leave_none_out():
    left = rasterise([(0, 0), (5, 0), (5, 9), (0, 9)], (12, 12))
    right = rasterise([(5, 0), (9, 0), (9, 9), (5, 9)], (12, 12))
    both = rasterise([(0, 0), (9, 0), (9, 9), (0, 9)], (12, 12))
    assert not (left & right).any()
    assert np.array_equal(left | right, both)


def test_a_contour_slightly_outside_is_cut_at_the_border():
    assert rasterise([(-2.5, -2.5), (12, -2.5), (12, 12), (-2.5, 12)], (10, 10)).all()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(1, 1), (5, 5)], "2 points.*one.txt"),
        ([(1, 1), (5, 5), (40, 5)], "x 40, y 5 in one.txt.*20 x 10"),
        ([(1, 1), (5, 5), (5, -7)], "x 5, y -7 in one.txt"),
        ([(1, 1), (5, 5), (np.nan, 5)], "x nan, y 5 in one.txt"),
        ([(1.2, 1.2), (1.4, 1.2), (1.4, 1.4)], "encloses no pixel.*one.txt"),
    ],
)
def test_a_contour_that_cannot_be_names_its_file(points, message):
    with pytest.raises(DatasetError, match=message):
        rasterise(points, (10, 20), name="one.txt")


@pytest.mark.parametrize("text", ["1.5 , 2\n3e1,4.25\n", "1.5 2\r\n\r\n 3.0e+01\t4.25 ", "\ufeff1.5;2\n30;4.25"])
def test_contour_files_are_read_in_every_spelling(tmp_path, text):
    (tmp_path / "c.txt").write_text(text, encoding="utf-8")
    assert read_contour(tmp_path / "c.txt").tolist() == [[1.5, 2.0], [30.0, 4.25]]


@pytest.mark.parametrize("line", ["1 2 3", "7", "x 5", "nan 3", "1,5 2,5"])
def test_a_contour_line_that_is_no_point_is_named(tmp_path, line):
    (tmp_path / "c.txt").write_text(f"1 2\n{line}\n")
    with pytest.raises(DatasetError, match=r"line 2 of .*c\.txt"):
        read_contour(tmp_path / "c.txt")


def test_a_missing_contour_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no contour file at .*c\.txt"):
        read_contour(tmp_path / "c.txt")


def experts(*rows):
    return [
        Annotation("cup", f"expert{number}", np.array([row], dtype=bool)) for number, row in enumerate(rows, start=1)
    ]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("majority", [0, 0, 255, 255, 255]),
        ("mean", [0, 64, 128, 191, 255]),
        ("intersection", [0, 0, 0, 0, 255]),
        ("union", [0, 255, 255, 255, 255]),
        ("expert3", [0, 0, 0, 255, 255]),
    ],
)
def test_four_experts_fused(method, expected):
    target = fuse(experts([0, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]), method)
    assert target.dtype == np.uint8
    assert target.tolist() == [expected]


@given(st.integers(1, 300), st.data())
def test_a_mean_of_half_or_more_is_the_majority(total, data):
    agreeing = data.draw(st.integers(0, total))
    masks = experts(*([k < agreeing] for k in range(total)))
    assert (fuse(masks, "mean") > 127) == (fuse(masks, "majority") > 127) == [[2 * agreeing >= total]]


@pytest.mark.parametrize("method", METHODS)
def test_one_expert_is_taken_as_it_is(method):
    assert fuse(experts([0, 1]), method).tolist() == [[0, 255]]


def test_an_unknown_method_lists_methods_and_experts():
    with pytest.raises(ConfigurationError, match=r"'median'.*majority, mean, .*staple, .*expert1, expert2"):
        fuse(experts([0], [1]), "median")


def discs(*drawn, size=60):
    """Discs of (x, y, radius), one for each expert."""
    rows, columns = np.mgrid[:size, :size]
    return [
        Annotation("disc", f"expert{number}", np.hypot(columns - x, rows - y) <= radius)
        for number, (x, y, radius) in enumerate(drawn, start=1)
    ]


places = st.tuples(st.floats(20, 40), st.floats(20, 40), st.floats(6, 14))


@settings(max_examples=20, deadline=None)
@given(st.lists(places, min_size=2, max_size=5, unique=True))
@pytest.mark.slow
def test_staple_is_the_filter_of_simpleitk(drawn):
    masks = discs(*drawn)
    reference = SimpleITK.STAPLEImageFilter()
    reference.SetForegroundValue(1)
    images = [SimpleITK.GetImageFromArray(annotation.mask.astype(np.uint8)) for annotation in masks]
    probability = SimpleITK.GetArrayFromImage(reference.Execute(images))
    target = fuse(masks, "staple")
    assert target.dtype == np.uint8
    assert np.abs(target - 255 * probability).max() <= 1.0
    undecided = np.abs(probability - 0.5) < 0.01
    assert np.array_equal((target > 127)[~undecided], (probability > 0.5)[~undecided])


def test_two_who_agree_outvote_a_wild_one():
    masks = discs((30, 30, 12), (30.4, 30, 12), (14, 14, 12))
    target = fuse(masks, "staple") > 127
    wild = masks[2].mask & ~masks[0].mask & ~masks[1].mask
    assert not target[wild].any()
    assert target[masks[0].mask & masks[1].mask].all()


def test_staple_knows_the_truth_of_closed_form():
    # Two experts who mark the same 300 of 900 pixels and one who marks none: sensitivities 1, 1, 0, no false alarm.
    one = np.zeros((30, 30), bool)
    one[:10] = True
    masks = [Annotation("disc", f"expert{k}", mask) for k, mask in enumerate((one, one, ~one & False))]
    assert np.array_equal(fuse(masks, "staple"), one * np.uint8(255))


@pytest.mark.parametrize("mask", [np.zeros((4, 5), bool), np.ones((4, 5), bool), np.eye(4, 5, dtype=bool)])
def test_staple_takes_equal_masks_as_they_are(mask):
    masks = [Annotation("cup", f"expert{number}", mask) for number in (1, 2, 3)]
    assert np.array_equal(fuse(masks, "staple"), mask * np.uint8(255))


def test_staple_refuses_levels_of_agreement():
    masks = [Annotation("disc", f"agree{least}", np.ones((3, 3), bool)) for least in (1, 2, 3, 4)]
    with pytest.raises(ConfigurationError, match=r"'staple' for the disc masks agree1, agree2, agree3, agree4.*mean"):
        fuse(masks, "staple")
