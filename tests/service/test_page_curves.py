"""The curves of the graders' page, run in the browser, against an independent evaluation."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def curve(running, browser):
    """Calls a function of the page's curve.js."""
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{running.port}/")

    def call(name, *arguments):
        call = "async ([name, given]) => (await import('/page/curve.js'))[name](...given)"
        result = page.evaluate(call, [name, [_plain(argument) for argument in arguments]])
        return np.array(result) if isinstance(result, list) else result

    yield call
    page.close()


def _plain(argument):
    return argument.tolist() if isinstance(argument, np.ndarray) else argument


def barry_goldman(points, steps):
    """Centripetal Catmull-Rom by its recursion (Barry and Goldman 1988, doi 10.1145/54852.378511), not as a Bezier."""
    found = []
    for at in range(len(points)):
        p = [points[(at + step) % len(points)] for step in (-1, 0, 1, 2)]
        t = np.concatenate([[0], np.cumsum([np.sqrt(np.linalg.norm(p[i + 1] - p[i])) for i in range(3)])])
        for step in range(steps):
            x = t[1] + (t[2] - t[1]) * step / steps
            a = [
                (t[i + 1] - x) / (t[i + 1] - t[i]) * p[i] + (x - t[i]) / (t[i + 1] - t[i]) * p[i + 1] for i in range(3)
            ]
            b = [
                (t[i + 2] - x) / (t[i + 2] - t[i]) * a[i] + (x - t[i]) / (t[i + 2] - t[i]) * a[i + 1] for i in range(2)
            ]
            found.append((t[2] - x) / (t[2] - t[1]) * b[0] + (x - t[1]) / (t[2] - t[1]) * b[1])
    return np.array(found)


def star(count, radius=120.0, wobble=20.0):
    """A closed outline around (300, 250) that is no ellipse."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    r = radius + wobble * np.sin(3 * angle) + wobble / 3 * np.cos(5 * angle)
    return np.stack([300 + r * np.cos(angle), 250 + 1.2 * r * np.sin(angle)], axis=1)


def area(polygon):
    x, y = polygon.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


@pytest.mark.parametrize("count", [3, 4, 9, 24])
def test_the_spline_is_the_centripetal_one(curve, count):
    points = star(count) + RNG.uniform(-8, 8, (count, 2))
    np.testing.assert_allclose(curve("sampled", points, 10), barry_goldman(points, 10), atol=0.006)


def test_a_moved_point_moves_two_pieces_on_each_side_alone(curve):
    points = star(12)
    moved = points.copy()
    moved[5] += 15
    changed = np.abs(curve("sampled", points, 10) - curve("sampled", moved, 10)).max(axis=1) > 0
    # Pieces 3 to 6; the points at 30, 40, 60 and 70 stayed.
    assert {32, 45, 50, 55, 66} <= set(np.flatnonzero(changed)) <= set(range(31, 70)) - {40, 60}


def test_an_ellipse_of_twelve_points_is_one(curve):
    points = curve("ellipse", [100, 100], [300, 400])
    polygon = curve("sampled", points)
    assert np.abs(np.hypot((polygon[:, 0] - 200) / 100, (polygon[:, 1] - 250) / 150) - 1).max() < 0.005
    assert polygon.min(axis=0).tolist() == [100, 100] and polygon.max(axis=0).tolist() == [300, 400]


@pytest.mark.parametrize("wobble", [0.0, 10.0, 25.0])
def test_few_points_follow_a_dense_outline(curve, wobble):
    outline = np.round(star(1500, wobble=wobble), 2)
    points = curve("fitted", outline)
    assert 10 <= len(points) <= 24
    polygon = curve("sampled", points)
    tolerance = max(1.0, np.ptp(outline[:, 1]) / 150)
    # To the polygon's corners, which lie a few pixels apart.
    apart = np.linalg.norm(np.diff(polygon, axis=0), axis=1).max() / 2
    assert cdist(outline, polygon).min(axis=1).max() <= np.hypot(tolerance, apart) + 0.1
    assert area(polygon) == pytest.approx(area(outline), rel=0.005)


def test_a_new_point_goes_into_the_piece_that_is_nearest(curve):
    points = star(12)
    for piece in range(12):
        # The page's number is an object of JavaScript: {at, distance}.
        found = curve("nearest", points, barry_goldman(points, 2)[2 * piece + 1])
        assert found["at"] == piece and found["distance"] < 0.5
