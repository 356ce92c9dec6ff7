import numpy as np
import pytest

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.measures.rim import clock_hour, clock_hours, place, quadrants, ray, rim_profile

SHAPE = (260, 280)


def drawn(disc, cup=None):
    labels = disc.mask(SHAPE).astype(np.uint8)
    if cup is not None:
        labels[cup.mask(SHAPE)] = 2
    return labels


def reach(ellipse, x, y, dx, dy):
    """Distance from a point along a ray to where it leaves the ellipse last; 0 where it never meets it."""
    cos, sin = np.cos(ellipse.angle), np.sin(ellipse.angle)
    x, y = x - ellipse.x, y - ellipse.y
    u, v = (x * cos + y * sin) / ellipse.a, (y * cos - x * sin) / ellipse.b
    du, dv = (dx * cos + dy * sin) / ellipse.a, (dy * cos - dx * sin) / ellipse.b
    a, b, c = du**2 + dv**2, u * du + v * dv, u**2 + v**2 - 1
    root = b**2 - a * c
    return np.maximum(0, (-b + np.sqrt(np.maximum(root, 0))) / a) * (root >= 0)


@pytest.mark.slow
def test_widths_of_ellipses_within_a_pixel():
    rng = np.random.default_rng(0)
    for _ in range(60):
        disc = Ellipse(*rng.uniform(120, 140, 2), *rng.uniform(60, 110, 2), rng.uniform(0, np.pi))
        small = min(disc.a, disc.b)
        a, b = small * rng.uniform(0.3, 0.7, 2)
        cup = Ellipse(*(np.array([disc.x, disc.y]) + rng.uniform(-0.2, 0.2, 2) * small), a, b, rng.uniform(0, np.pi))
        for eye in (None, "OD", "OS"):
            rim = rim_profile(drawn(disc, cup), eye)
            assert rim.centre == pytest.approx((disc.x, disc.y), abs=0.2)
            dx, dy = ray(eye)
            radius = reach(disc, disc.x, disc.y, dx, dy)
            width = radius - reach(cup, disc.x, disc.y, dx, dy)
            assert np.abs(rim.disc_radius - radius).max() < 1
            assert np.abs(rim.width - width).max() < 1
            assert np.abs(rim.width - width).mean() < 0.35
            assert np.abs(rim.share - width / (2 * radius)).max() < 1 / small


def test_a_cup_beside_the_centre_leaves_all_of_the_radius_on_the_other_side():
    disc, cup = Ellipse(140, 130, 100, 100, 0), Ellipse(140, 60, 20, 20, 0)
    rim = rim_profile(drawn(disc, cup))
    assert rim.width[0] == pytest.approx(10, abs=1)
    assert rim.width[90] == pytest.approx(100, abs=1) and rim.width[180] == pytest.approx(100, abs=1)
    ratio, angle = rim.narrowest
    assert ratio == pytest.approx(0.05, abs=0.005) and min(angle, 360 - angle) < 6


def test_angles_run_clockwise_from_twelve_and_a_left_eye_is_mirrored():
    disc = Ellipse(140, 130, 100, 100, 0)
    right_of_centre = drawn(disc, Ellipse(190, 130, 30, 30, 0))
    for eye, angle in ((None, 90), ("OD", 90), ("OS", 270)):
        rim = rim_profile(right_of_centre, eye)
        assert int(rim.width.argmin()) == pytest.approx(angle, abs=6)
        assert rim.eye == eye
    below = drawn(disc, Ellipse(140, 180, 30, 30, 0))
    for eye in (None, "OD", "OS"):
        assert int(rim_profile(below, eye).width.argmin()) == pytest.approx(180, abs=6)


def test_mirroring_the_photograph_and_the_eye_changes_nothing():
    labels = drawn(Ellipse(140, 130, 100, 80, 0.4), Ellipse(150, 120, 30, 40, 1.0))
    right, left = rim_profile(labels, "OD"), rim_profile(labels[:, ::-1], "OS")
    assert right.width == pytest.approx(left.width, abs=1e-4)
    assert right.centre == pytest.approx((SHAPE[1] - 1 - left.centre[0], left.centre[1]))


def test_the_disc_s_place_changes_nothing():
    labels = np.zeros((60, 70), np.uint8)
    labels[20:50, 15:45] = 1
    labels[30:40, 22:30] = 2
    alone = rim_profile(labels[20:50, 15:45])
    assert rim_profile(labels).width == pytest.approx(alone.width)
    assert rim_profile(labels).centre == (29.5, 34.5)


def test_clock_hours_and_quadrants_are_means():
    profile = np.zeros(360)
    profile[[75, 105]] = 31
    profile[90] = 62
    assert clock_hours(profile).tolist() == [0, 0, 1, 4, 1, 0, 0, 0, 0, 0, 0, 0]
    profile = np.zeros(360)
    profile[np.arange(-45, 46)] = 7
    means = quadrants(profile)
    assert list(means) == ["superior", "nasal", "inferior", "temporal"]
    assert means == pytest.approx({"superior": 7, "nasal": 7 / 91, "inferior": 0, "temporal": 7 / 91})


def test_hour_and_place_in_words():
    assert [clock_hour(angle) for angle in (0, 14.9, 15, 90, 180, 344.9, 345, 359)] == [12, 12, 1, 3, 6, 11, 12, 12]
    assert np.isnan(clock_hour(float("nan")))
    assert [place(angle, "OS") for angle in (0, 40, 90, 225, 270, 350)] == [
        "superior",
        "superior nasal",
        "nasal",
        "inferior temporal",
        "temporal",
        "superior",
    ]
    assert place(225, None) == "8 o'clock" and place(float("nan"), "OD") == ""


def test_the_longest_absent_stretch_is_named_by_its_middle():
    """Rim missing from 350 to 10 degrees and at 200: the stretch over 12 o'clock is the longer one."""
    labels = drawn(Ellipse(140, 130, 100, 100, 0), Ellipse(140, 130, 50, 50, 0))
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    angle = np.rad2deg(np.arctan2(x - 140, 130 - y)) % 360
    labels[(labels == 1) & ((angle > 340) | (angle < 30) | (abs(angle - 200) < 6))] = 2
    rim = rim_profile(labels)
    assert rim.absent == pytest.approx(50 + 12, abs=4)
    assert rim.narrowest == (0, pytest.approx(5, abs=1))


def test_no_disc_and_no_cup():
    nothing = rim_profile(np.zeros((20, 20), np.uint8))
    assert np.isnan(nothing.width).all() and np.isnan(nothing.narrowest).all() and np.isnan(nothing.absent)
    round_disc = rim_profile(drawn(Ellipse(140, 130, 100, 100, 0)))
    assert round_disc.width == pytest.approx(round_disc.disc_radius)
    assert round_disc.share == pytest.approx(np.full(360, 0.5), abs=0.005)
