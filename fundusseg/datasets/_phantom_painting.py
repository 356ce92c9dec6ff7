"""How a phantom looks: a fundus photograph painted around a given disc and cup.

Colours are RGB in 0..1, lengths are shares of the picture's width.
"""

from itertools import product
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.datasets._phantom_ellipse import Ellipse, Plane, grid
from fundusseg.sample import Image

CAMERAS = np.array([[0.70, 0.33, 0.16], [0.56, 0.25, 0.12], [0.74, 0.45, 0.24], [0.62, 0.25, 0.10]], dtype=np.float32)
"""Background colours of four looks: orange, brown, pale and red."""

_BLOOD = np.array([0.42, 0.66, 0.58], dtype=np.float32)
"""What a vessel takes of each colour: much of the green and blue, little of the red."""

_T = np.linspace(0.0, 1.0, 40)[:, None]
_BERNSTEIN = np.hstack([(1 - _T) ** 3, 3 * (1 - _T) ** 2 * _T, 3 * (1 - _T) * _T**2, _T**3])
"""Weights of a cubic Bezier curve's four stops at 40 points."""

_Course: TypeAlias = npt.NDArray[np.float64]


def paint(disc: Ellipse, cup: Ellipse, temporal: float, size: int, rng: np.random.Generator) -> Image:
    """Paint background, macula, disc, cup and vessels, then light, blur, cut the field of view and expose.

    Args:
        disc: The disc, in pixels.
        cup: The cup, in pixels.
        temporal: The temporal side along x: -1 in a right eye's photograph, 1 in a left eye's.
        size: Width and height in pixels.
        rng: Random numbers for everything that the arguments leave open.

    Returns:
        size x size x 3 uint8 RGB.
    """
    y, x = grid((size, size))
    camera = int(rng.integers(len(CAMERAS)))
    colour = CAMERAS[camera] * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    light = 1.0 + 0.10 * _clouds(rng, size, 4) + 0.05 * _clouds(rng, size, 14) + 0.04 * _clouds(rng, size, 40)
    light *= 1.0 - _macula(disc, temporal, rng, y, x)
    picture = colour * light[..., None]
    _paint_head(picture, disc, cup, colour, rng)
    # In the order of a camera: vessels lie before disc and ground, light and lens before the sensor. The field is cut
    # after the blur, as its edge is the sharpest of a photograph, and noise comes last, which no lens blurs.
    picture *= 1.0 - _vessels(disc, cup, temporal, size, rng)[..., None] * (_BLOOD * np.float32(rng.uniform(0.75, 1.0)))
    picture *= _illumination(rng, y, x)[..., None]
    picture = cv2.GaussianBlur(picture, (0, 0), size * float(rng.uniform(0.0015, 0.0045)))
    picture *= _field_of_view(camera, rng, y, x)[..., None]
    picture += rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(rng.uniform(0.004, 0.016))
    return _expose(picture, rng)


def _clouds(rng: np.random.Generator, size: int, cells: int) -> Plane:
    """Smooth random texture of about unit variance with ``cells`` spots across."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _macula(disc: Ellipse, temporal: float, rng: np.random.Generator, y: Plane, x: Plane) -> Plane:
    """The darker spot 2.5 disc diameters temporal of the disc, 0 to about 0.4."""
    spot = Ellipse(disc.x + temporal * 5.0 * disc.b, disc.y + 0.5 * disc.a, 1.2 * disc.a, 1.1 * disc.a, 0.0)
    return np.float32(rng.uniform(0.2, 0.4)) * np.exp(-(spot.radius(y, x) ** 2))


def _paint_head(picture: Plane, disc: Ellipse, cup: Ellipse, colour: Plane, rng: np.random.Generator) -> None:
    """Blend the optic nerve head in place: a halo, the rim, the pale cup, edges more or less sharp."""
    reach = int(2.2 * disc.a)
    top, left = max(0, int(disc.y) - reach), max(0, int(disc.x) - reach)
    window = picture[top : top + 2 * reach, left : left + 2 * reach]
    y, x = grid(window.shape[:2])
    y, x = y + np.float32(top), x + np.float32(left)
    # Both are the background's colour mixed with white, so that every camera keeps its own tone.
    rim_colour = 1.0 - (1.0 - colour) * (np.array([0.32, 0.56, 0.72]) * rng.uniform(0.90, 1.08)).astype(np.float32)
    cup_colour = 1.0 - (1.0 - rim_colour) * (np.array([0.40, 0.42, 0.58]) * rng.uniform(0.85, 1.10)).astype(np.float32)
    texture = 1.0 + 0.04 * cv2.resize(_clouds(rng, 4 * reach, 24), window.shape[1::-1])[..., None]
    radius = disc.radius(y, x)
    window *= 1.0 + (np.exp(-(((radius - 1.0) / 0.35) ** 2)) * np.float32(rng.uniform(-0.12, 0.22)))[..., None]
    for distance, tint, softness in (
        (radius, rim_colour, rng.uniform(0.02, 0.05)),
        (cup.radius(y, x), cup_colour, rng.uniform(0.04, 0.10)),
    ):
        weight = 1.0 / (1.0 + np.exp(np.clip((distance - 1.0) / np.float32(softness), -30.0, 30.0)))[..., None]
        window += weight * (tint * texture - window)


def _vessels(disc: Ellipse, cup: Ellipse, temporal: float, size: int, rng: np.random.Generator) -> Plane:
    """An artery and a vein for each of four arcades, with branches, from the cup outwards: 0..1."""
    plane = np.zeros((size, size), dtype=np.uint8)
    hilus = np.array([cup.x - temporal * 0.3 * disc.b, cup.y])
    # The temporal arcades bend around the macula, the nasal ones run straight on.
    for up, side, (width, shade) in product((-1.0, 1.0), (-1.0, 1.0), ((0.009, 150), (0.013, 250))):
        # Three stops from the hilus, x and y in picture widths; the signs turn them into one quadrant.
        end = [0.48, 0.30] if side == temporal else [0.30, 0.44]
        reach = np.array([[0.02, 0.10], [0.10, 0.26], end]) * rng.uniform(0.75, 1.25, (3, 2)) * [side, up]
        start = hilus + rng.normal(0.0, 0.12, 2) * disc.b
        course = _course(np.vstack([start, start + size * reach]), size, rng)
        _draw(plane, course, width * size, shade)
        for _ in range(3):
            _draw(plane, _branch(course, size, rng), 0.5 * width * size, shade)
    return plane.astype(np.float32) / 255.0


def _course(stops: _Course, size: int, rng: np.random.Generator) -> _Course:
    """A vessel's way along a cubic Bezier curve of 4 stops, slightly winding: (40, 2)."""
    turns = np.hypot(*(stops[-1] - stops[0])) / size * rng.uniform(4.0, 9.0, 2)
    waves = np.sin(2 * np.pi * (_T * turns + rng.uniform(0.0, 1.0, 2)))
    return np.asarray(_BERNSTEIN @ stops + _T * waves * 0.006 * size)


def _branch(course: _Course, size: int, rng: np.random.Generator) -> _Course:
    """A thinner vessel that leaves another one at 15 to 55 degrees."""
    at = int(rng.integers(6, 34))
    # Over five of the 40 points: the next one alone would follow the vessel's winding.
    ahead = course[at + 5] - course[at]
    heading = np.arctan2(ahead[1], ahead[0]) + rng.choice([-1.0, 1.0]) * rng.uniform(0.25, 0.95)
    length = size * rng.uniform(0.10, 0.26)
    stops = course[at] + np.outer([0.0, 0.3, 0.7, 1.0], length * np.array([np.cos(heading), np.sin(heading)]))
    stops[1:] += rng.normal(0.0, 0.012 * size, (3, 2))
    return _course(stops, size, rng)


def _draw(plane: Image, course: _Course, width: float, shade: int) -> None:
    """Draw a vessel that thins to a hair; below a pixel it fades instead."""
    # With shift=4 OpenCV takes sixteenths of a pixel.
    fixed = np.round(course * 16).astype(np.int32)
    for part in range(0, len(course) - 1, 6):
        local = width * (1.0 - 0.85 * part / len(course))
        tone = int(shade * min(1.0, max(local, 0.25)))
        # Seven points for six steps: pieces share an end, so that none is torn off.
        line = fixed[part : part + 7].reshape(-1, 1, 2)
        cv2.polylines(plane, [line], False, tone, max(1, round(local)), cv2.LINE_AA, shift=4)


def _illumination(rng: np.random.Generator, y: Plane, x: Plane) -> Plane:
    """A bright middle off the centre, falling to the edge."""
    middle, spread = rng.uniform(0.35, 0.65, 2) * y.size, y.size * float(rng.uniform(0.55, 0.9))
    glow: Plane = np.exp(-(Ellipse(float(middle[0]), float(middle[1]), spread, spread, 0.0).radius(y, x) ** 2))
    return np.float32(0.5) + np.float32(0.6) * glow


def _field_of_view(camera: int, rng: np.random.Generator, y: Plane, x: Plane) -> Plane:
    """The bright circle on black; two of the cameras cut it at the top and bottom."""
    size = y.size
    middle, radius = 0.5 * size - 0.5, size * float(rng.uniform(0.47, 0.50))
    circle = Ellipse(middle, middle, radius, radius, 0.0).radius(y, x)
    # Pixels from the circle inwards, and half of one: an edge that fades over one pixel.
    field: Plane = np.clip((1.0 - circle) * np.float32(radius) + 0.5, 0.0, 1.0)
    if camera % 2:
        cut = int(size * rng.uniform(0.03, 0.08))
        field[:cut] = 0.0
        field[size - cut :] = 0.0
    return field


def _expose(picture: Plane, rng: np.random.Generator) -> Image:
    """Gain and gamma to 8 bit, by a table: a power for each pixel would take as long as all the rest."""
    gain, gamma = rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.2)
    tones = (np.clip(np.linspace(0.0, gain, 4096), 0.0, 1.0) ** gamma * 255.0 + 0.5).astype(np.uint8)
    exposed: Image = tones[(np.clip(picture, 0.0, 1.0) * np.float32(4095.0)).astype(np.uint16)]
    return exposed
