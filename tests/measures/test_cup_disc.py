import re
from dataclasses import asdict, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops

from fundusseg.errors import ConfigurationError
from fundusseg.measures.cup_disc import EYE_UNKNOWN, Measures, measure


def ellipse(centre, axes, turn, shape=(200, 220)):
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    y, x = y - centre[0], x - centre[1]
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    return (u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1


def height(axes, turn):
    """Upright extent of an ellipse whose first axis is turned by ``turn`` from the horizontal."""
    return 2 * np.hypot(axes[0] * np.sin(turn), axes[1] * np.cos(turn))


def width(axes, turn):
    return 2 * np.hypot(axes[0] * np.cos(turn), axes[1] * np.sin(turn))


@pytest.mark.slow
def test_ratios_of_ellipses_within_a_pixel_s_worth():
    """The bound |error| <= (1 + ratio) / disc extent: each of the two extents is off by a pixel at most."""
    rng = np.random.default_rng(0)
    for _ in range(150):
        centre = rng.uniform([90, 90], [110, 130])
        disc_axes = rng.uniform(30, 70, 2)
        cup_axes, turn, cup_turn = disc_axes.min() * rng.uniform(0.2, 0.9, 2), *rng.uniform(0, np.pi, 2)
        labels = ellipse(centre, disc_axes, turn).astype(np.uint8)
        labels[ellipse(centre, cup_axes, cup_turn)] = 2
        got = measure(labels)
        for extent, ratio, pixels in (
            (height, got.vertical_cdr, got.disc_height),
            (width, got.horizontal_cdr, got.disc_width),
        ):
            true = extent(cup_axes, cup_turn) / extent(disc_axes, turn)
            assert abs(ratio - true) <= (1 + true) / pixels
        true = np.prod(cup_axes) / np.prod(disc_axes)
        # An area is off by a small part of its outline.
        assert abs(got.area_cdr - true) <= 0.02
        assert got.reason == ""


def test_sizes_agree_with_scikit_image():
    labels = ellipse((90, 100), (60, 45), 0.4).astype(np.uint8)
    labels[ellipse((92, 101), (20, 30), 1.1)] = 2
    disc, cup = regionprops((labels > 0).astype(int))[0], regionprops((labels == 2).astype(int))[0]
    got = measure(labels)
    assert (got.disc_area, got.cup_area) == (disc.area, cup.area)
    assert (got.disc_height, got.disc_width) == (disc.bbox[2] - disc.bbox[0], disc.bbox[3] - disc.bbox[1])
    assert (got.cup_height, got.cup_width) == (cup.bbox[2] - cup.bbox[0], cup.bbox[3] - cup.bbox[1])


def test_by_hand():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    labels[10:15, 12:16] = 2
    got = measure(labels)
    assert (got.vertical_cdr, got.horizontal_cdr, got.area_cdr) == (5 / 20, 4 / 10, 20 / 200)
    assert (got.disc_area, got.cup_area) == (200, 20)
    assert (got.disc_height, got.disc_width, got.cup_height, got.cup_width) == (20, 10, 5, 4)
    # Of a rectangle of n pixels the variance is n^2 / 12.
    assert (got.disc_major, got.disc_minor) == pytest.approx((4 * 20 / 12**0.5, 4 * 10 / 12**0.5))
    assert (got.disc_tilt, got.cup_tilt) == (0, 0)
    assert got.reason == ""


def test_no_disc_is_undefined():
    got = measure(np.zeros((30, 30), np.uint8))
    assert got.reason == "no disc found"
    for name, value in asdict(got).items():
        assert (value == "" or name == "reason") if isinstance(value, str) else np.isnan(value)


def test_a_disc_without_cup_has_ratio_zero_with_the_reason():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    got = measure(labels)
    assert got.reason == "no cup found: ratio 0"
    assert (got.vertical_cdr, got.horizontal_cdr, got.area_cdr) == (0, 0, 0)
    assert (got.disc_area, got.disc_height, got.disc_width) == (200, 20, 10)
    assert (got.cup_area, got.cup_height, got.cup_width) == (0, 0, 0)
    assert np.isnan([got.cup_major, got.cup_minor, got.cup_tilt]).all()
    assert (got.rim_min_ratio, got.rim_absent) == (pytest.approx(0.5), 0)


def test_a_cup_nobody_looked_for_is_undefined_not_zero():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    got = measure(labels, regions=("disc",))
    assert np.isnan(got.vertical_cdr)
    assert np.isnan(got.cup_area)
    assert got.disc_height == 20
    assert np.isnan([got.rim_min_ratio, got.rim_absent, got.rim_inferior, got.isnt_kept]).all()
    assert got.reason == "no cup looked for"
    assert measure(labels * 2, regions=("cup",)).reason == "no disc looked for"


@pytest.mark.parametrize("shape", [(1, 1), (9, 4)])
def test_a_cup_that_fills_the_disc_has_ratio_one(shape):
    got = measure(np.full(shape, 2, np.uint8))
    assert (got.vertical_cdr, got.horizontal_cdr, got.area_cdr, got.reason) == (1, 1, 1, "")
    assert (got.rim_min_ratio, got.rim_absent, got.rim_superior, got.rim_inferior) == (0, 360, 0, 0)
    assert np.isnan(got.rim_min_angle)  # everywhere is nowhere


def test_every_value_is_a_plain_number_or_a_word():
    """They are the columns of a table."""
    labels = ellipse((90, 100), (60, 45), 0.4).astype(np.uint8)
    for value in asdict(measure(labels, eye="OD", millimetres_per_pixel=0.01)).values():
        assert type(value) in {float, str}
    assert [field.name for field in fields(Measures)][-1] == "reason"


def upright_angle(axes, turn):
    """Degrees clockwise, as seen, from upright to the longer axis of an ellipse in image coordinates."""
    angle = np.rad2deg(turn) + (90 if axes[0] > axes[1] else 0)
    return (angle + 90) % 180 - 90


@pytest.mark.slow
def test_axes_and_tilt_of_ellipses():
    rng = np.random.default_rng(1)
    for _ in range(80):
        disc_axes, turn = rng.uniform(40, 80, 2), rng.uniform(0, np.pi)
        cup_axes, cup_turn = rng.uniform(10, 38, 2), rng.uniform(0, np.pi)
        centre = rng.uniform([90, 90], [110, 130])
        labels = ellipse(centre, disc_axes, turn, (220, 240)).astype(np.uint8)
        labels[ellipse(centre, cup_axes, cup_turn, (220, 240))] = 2
        got, left = measure(labels, eye="OD"), measure(labels, eye="OS")
        for name, axes, turned in (("disc", disc_axes, turn), ("cup", cup_axes, cup_turn)):
            if not ellipse(centre, disc_axes, turn, (220, 240))[labels == 2].all():
                continue
            assert getattr(got, f"{name}_major") == pytest.approx(2 * axes.max(), abs=0.5)
            assert getattr(got, f"{name}_minor") == pytest.approx(2 * axes.min(), abs=0.5)
            if axes.max() > 1.15 * axes.min():
                off = getattr(got, f"{name}_tilt") - upright_angle(axes, turned)
                assert abs((off + 90) % 180 - 90) < 2
            assert getattr(left, f"{name}_tilt") == pytest.approx(-getattr(got, f"{name}_tilt"))


def test_axes_agree_with_scikit_image():
    """Which counts a pixel as a point: its variance of 1/12 is missing there."""
    labels = ellipse((90, 100), (60, 45), 0.4).astype(np.uint8)
    labels[ellipse((92, 101), (20, 30), 1.1)] = 2
    got = measure(labels)
    for name, mask in (("disc", labels > 0), ("cup", labels == 2)):
        other = regionprops(mask.astype(int))[0]
        assert getattr(got, f"{name}_major") ** 2 == pytest.approx(other.axis_major_length**2 + 16 / 12)
        assert getattr(got, f"{name}_minor") ** 2 == pytest.approx(other.axis_minor_length**2 + 16 / 12)
        # Its angles run the other way round.
        assert np.deg2rad(getattr(got, f"{name}_tilt")) == pytest.approx(-other.orientation)


def test_narrowest_rim_of_a_shifted_cup():
    """Circles of 80 and 40 pixels, the cup moved by 30 straight down: the rim is 10 of 160 pixels at 6 o'clock."""
    labels = ellipse((100, 110), (80, 80), 0).astype(np.uint8)
    labels[ellipse((130, 110), (40, 40), 0)] = 2
    got = measure(labels, eye="OD")
    assert got.rim_min_ratio == pytest.approx(10 / 160, abs=1 / 160)
    assert (got.rim_min_angle, got.rim_min_clock_hour) == (pytest.approx(180, abs=8), 6)
    assert got.rim_absent == 0
    assert got.rim_inferior == pytest.approx(10, abs=6) and got.rim_superior > 60
    assert got.rim_nasal == pytest.approx(got.rim_temporal, abs=0.2)
    assert (got.isnt_kept, got.isnt_reason) == (0, "inferior < superior")


def test_absent_rim_counts_degrees():
    """A cup that reaches the disc's border wherever it lies below a line: 90 degrees around 6 o'clock."""
    labels = ellipse((100, 110), (80, 80), 0).astype(np.uint8)
    y, x = np.mgrid[0:200, 0:220]
    labels[(labels == 1) & (y - 100 > abs(x - 110))] = 2
    got = measure(labels)
    assert got.rim_absent == pytest.approx(90, abs=2)
    assert (got.rim_min_ratio, got.rim_min_clock_hour) == (0, 6)
    assert got.rim_min_angle == pytest.approx(180, abs=1)


def test_isnt_order():
    def shifted(dy, dx, eye):
        labels = ellipse((100, 110), (80, 70), 0).astype(np.uint8)
        labels[ellipse((100 + dy, 110 + dx), (30, 30), 0)] = 2
        return measure(labels, eye=eye)

    # A disc wider than high has a vertical rim narrower than the horizontal one.
    broken = shifted(0, 0, "OD")
    assert (broken.isnt_kept, broken.isnt_reason) == (0, "superior < nasal")
    upright = ellipse((100, 110), (60, 90), 0).astype(np.uint8)
    upright[ellipse((97, 107), (30, 30), 0)] = 2  # up and to the left, in a right eye the temporal side
    assert measure(upright, eye="OD").isnt_kept == 1 and measure(upright, eye="OD").isnt_reason == ""
    left = measure(upright, eye="OS")
    assert (left.isnt_kept, left.isnt_reason) == (0, "nasal < temporal")


def test_an_unknown_eye_has_no_nasal_side():
    labels = ellipse((100, 110), (70, 80), 0).astype(np.uint8)
    labels[ellipse((95, 105), (30, 30), 0)] = 2
    got = measure(labels)
    assert np.isnan([got.rim_nasal, got.rim_temporal, got.isnt_kept]).all()
    assert (got.isnt_reason, got.reason) == (EYE_UNKNOWN, "")
    known = measure(labels, eye="OD")
    assert (got.rim_inferior, got.rim_superior) == (known.rim_inferior, known.rim_superior)
    # Angles of an unknown eye are as seen, and so a right eye's.
    assert (got.rim_min_angle, got.disc_tilt) == (known.rim_min_angle, known.disc_tilt)


def test_millimetres_only_with_a_scale():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 10:20] = 1
    labels[10:15, 12:16] = 2
    assert np.isnan([measure(labels).disc_area_mm2, measure(labels).cup_area_mm2]).all()
    assert measure(labels).reason == ""
    got = measure(labels, millimetres_per_pixel=0.1)
    assert (got.disc_area_mm2, got.cup_area_mm2) == (pytest.approx(2.0), pytest.approx(0.2))
    disc = measure(labels, regions=("disc",), millimetres_per_pixel=0.1)
    assert disc.disc_area_mm2 == pytest.approx(2.0) and np.isnan(disc.cup_area_mm2)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_must_be_above_zero(scale):
    with pytest.raises(ConfigurationError, match="millimetres per pixel"):
        measure(np.zeros((3, 3), np.uint8), millimetres_per_pixel=scale)


def test_an_eye_is_od_or_os():
    with pytest.raises(ConfigurationError, match="'right'"):
        measure(np.zeros((3, 3), np.uint8), eye="right")


RATIOS = ("vertical_cdr", "horizontal_cdr", "area_cdr")
maps = st.integers(1, 16).flatmap(
    lambda height: st.integers(1, 16).flatmap(
        lambda width: arrays(np.uint8, (height, width), elements=st.integers(0, 2))
    )
)
pairs = st.tuples(
    st.floats(30, 45), st.floats(30, 45), st.floats(0, np.pi), st.floats(8, 20), st.floats(-8, 8), st.floats(-8, 8)
)


def drawn(pair):
    """A label map of a disc of two axes and a turn, and a round cup of a radius and a place, by any factor."""
    a, b, turn, radius, dy, dx = pair

    def draw(factor):
        shape = (round(100 * factor), round(110 * factor))
        labels = ellipse((50 * factor, 55 * factor), (a * factor, b * factor), turn, shape).astype(np.uint8)
        labels[ellipse(((50 + dy) * factor, (55 + dx) * factor), (radius * factor,) * 2, 0, shape)] = 2
        return labels

    return draw


@settings(max_examples=40, deadline=None)
@given(pairs)
@pytest.mark.slow
def test_scaling_leaves_ratios(pair):
    draw = drawn(pair)
    one, three = measure(draw(1), eye="OD"), measure(draw(3), eye="OD")
    for name in (*RATIOS, "rim_min_ratio"):
        # Two extents, a pixel each, of a disc of 60 pixels or more.
        assert getattr(one, name) == pytest.approx(getattr(three, name), abs=2 / 60)
    for name in ("disc_major", "disc_minor", "cup_major", "rim_inferior", "rim_superior", "rim_nasal", "rim_temporal"):
        assert 3 * getattr(one, name) == pytest.approx(getattr(three, name), abs=3)


@settings(max_examples=60, deadline=None)
@given(maps, st.integers(2, 4))
def test_enlarging_every_pixel_leaves_ratios_as_they_are(labels, times):
    one, many = measure(labels), measure(labels.repeat(times, 0).repeat(times, 1), millimetres_per_pixel=1 / times)
    for name in RATIOS:
        assert getattr(many, name) == pytest.approx(getattr(one, name), nan_ok=True)
    assert many.disc_area_mm2 == pytest.approx(one.disc_area, nan_ok=True)
    assert many.disc_major == pytest.approx(times * one.disc_major, nan_ok=True)
    assert many.reason == one.reason


@settings(max_examples=150, deadline=None)
@given(maps)
@pytest.mark.slow
def test_mirroring_gives_the_other_eye(labels):
    right, left = asdict(measure(labels, eye="OD")), asdict(measure(labels[:, ::-1], eye="OS"))
    for name, value in right.items():
        if isinstance(value, str):
            assert left[name] == value
        elif name not in {"disc_tilt", "cup_tilt", "rim_min_angle", "rim_min_clock_hour"}:
            assert left[name] == pytest.approx(value, nan_ok=True, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_mirroring_alone_swaps_nasal_and_temporal(pair):
    labels = drawn(pair)(1)
    right, mirrored = measure(labels, eye="OD"), measure(labels[:, ::-1], eye="OD")
    assert (mirrored.rim_nasal, mirrored.rim_temporal) == pytest.approx((right.rim_temporal, right.rim_nasal), abs=1e-4)
    assert (mirrored.rim_superior, mirrored.rim_inferior) == pytest.approx(
        (right.rim_superior, right.rim_inferior), abs=1e-4
    )
    assert abs(mirrored.disc_tilt) == pytest.approx(abs(right.disc_tilt), nan_ok=True)
    left = measure(labels[:, ::-1], eye="OS")
    if right.rim_min_ratio < 0.2:
        assert abs((left.rim_min_angle - right.rim_min_angle + 180) % 360 - 180) < 20


@settings(max_examples=150, deadline=None)
@given(maps)
def test_any_map_gives_values_in_their_ranges(labels):
    """Scraps, rings and maps that touch every border included."""
    got = measure(labels, eye="OD")
    if not labels.any():
        assert got.reason == "no disc found"
        return
    assert all(0 <= getattr(got, name) <= 1 for name in RATIOS)
    assert 0 <= got.rim_absent <= 360 and got.disc_major >= got.disc_minor > 0
    assert min(got.rim_inferior, got.rim_superior, got.rim_nasal, got.rim_temporal) >= 0
    assert np.isnan(got.rim_min_ratio) or 0 <= got.rim_min_ratio <= 1
    assert np.isnan(got.rim_min_angle) or (0 <= got.rim_min_angle < 360 and 1 <= got.rim_min_clock_hour <= 12)
    if (labels == 2).any() and got.rim_absent < 360:
        assert got.isnt_kept in (0, 1) and (got.isnt_reason == "") == (got.isnt_kept == 1)
    else:
        assert np.isnan(got.isnt_kept) and got.isnt_reason in ("no cup", "no rim")
    assert (got.reason != "") == (not (labels == 2).any())


@settings(max_examples=60, deadline=None)
@given(maps)
def test_a_cup_that_is_the_disc_leaves_no_rim(labels):
    if labels.any():
        got = measure(np.where(labels > 0, 2, 0).astype(np.uint8), eye="OS")
        assert [getattr(got, name) for name in RATIOS] == [1, 1, 1]
        assert (got.rim_absent, got.rim_nasal, got.rim_temporal) == (360, 0, 0)
        assert np.isnan(got.rim_min_angle)


def test_one_pixel():
    labels = np.zeros((5, 5), np.uint8)
    labels[2, 3] = 1
    got = measure(labels)
    assert (got.disc_height, got.disc_width, got.disc_area, got.vertical_cdr) == (1, 1, 1, 0)
    assert (got.disc_major, got.disc_minor) == pytest.approx((4 / 12**0.5, 4 / 12**0.5))
    assert np.isnan(got.disc_tilt)


@pytest.mark.parametrize("greys", [(0, 128, 255), (255, 128, 0), (0, 255, 255)])
def test_grey_values_are_refused_with_the_way_to_read_them(greys):
    labels = ellipse((100, 110), (60, 70), 0.0).astype(np.uint8) + ellipse((100, 110), (30, 35), 0.0)
    mask = np.array(greys, np.uint8)[labels]
    values = ", ".join(map(str, sorted(set(greys))))
    with pytest.raises(ConfigurationError, match=f"a label map of the values {values}; expected the codes 0") as told:
        measure(mask)
    cure = re.search(r"np\.uint8\(.*\)", told.value.do)[0].split(", where")[0]
    read = eval(cure, {"np": np, "mask": mask})
    assert np.array_equal(read, labels > 0 if len(set(greys)) == 2 else labels)


@pytest.mark.parametrize(
    "wrong", [np.zeros((9, 9, 1), np.uint8), np.zeros((9, 9, 3), np.uint8), [[0, 1], [1, 2]], None]
)
def test_what_is_no_array_of_two_axes_is_told_so(wrong):
    with pytest.raises(ConfigurationError, match=r"a label map that is .*; expected one H x W array of codes"):
        measure(wrong)


def test_codes_below_0_are_no_background():
    with pytest.raises(ConfigurationError, match="a label map of the values -2, -1, 0; expected the codes 0"):
        measure(np.array([[0, -1], [-2, 0]]))


def test_codes_that_no_region_has_are_refused():
    labels = np.array([[0, 1], [3, 0]], np.uint8)
    with pytest.raises(ConfigurationError, match="a label map of the values 0, 1, 3; expected the codes 0"):
        measure(labels)
    assert measure(labels, ("disc", "cup", "vessel")).disc_area == 1
