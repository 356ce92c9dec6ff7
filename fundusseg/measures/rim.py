"""The neuroretinal rim: its width by angle, where it is narrowest, how far it is gone.

Angles are those of a right eye's clock: 0 degrees is 12 o'clock (superior), 90 is 3 o'clock (nasal), 180 is 6 o'clock
(inferior), 270 is 9 o'clock (temporal). On the photograph of a right eye they run clockwise as it is seen. A left eye
is mirrored first, so that 90 is nasal in both. Of an unknown eye angles are taken as they are seen, and nothing is
called nasal or temporal.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.imaging.roi import bounds
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.moments import moments
from fundusseg.sample import CUP, DISC, Eye

Profile: TypeAlias = npt.NDArray[np.float64]
"""(360,): one number for each degree, 0 to 359."""

QUADRANTS = {"superior": 0, "nasal": 90, "inferior": 180, "temporal": 270}
"""The angle in each quadrant's middle."""

_STEP = 1.0
"""Pixels between samples along a ray; the border between two of them is interpolated."""

_ABSENT = 0.5
"""Pixels: a drawn rim is a pixel wide or more, so less than half of one is none."""


@dataclass(frozen=True, eq=False, slots=True)
class Rim:
    """Rim width by angle, from the disc's centre.

    Attributes:
        width: (360,) pixels from the cup's outer border to the disc's, along the ray from the disc's centre. A ray that
            meets no cup has all of the disc's radius.
        share: (360,) the width over the disc's diameter along that ray, 0..0.5 for a disc symmetric about its centre:
            the rim/disc ratio.
        disc_radius: (360,) pixels from the centre to the disc's outermost border.
        centre: Mean column and row of the disc's pixels; whole numbers are pixel centres.
        eye: What the angles are mirrored by.
    """

    width: Profile
    share: Profile
    disc_radius: Profile
    centre: tuple[float, float]
    eye: Eye | None

    @property
    def absent(self) -> float:
        """Degrees without rim, 0..360: where the width is below half a pixel.

        Beyond a rim/disc ratio of 0 the Disc Damage Likelihood Scale goes on by it; see ``narrowest``.
        """
        return float(np.count_nonzero(self.width < _ABSENT)) if self._defined else math.nan

    @property
    def narrowest(self) -> tuple[float, float]:
        """Smallest rim/disc ratio and the angle where it lies.

        The ratio is that of the Disc Damage Likelihood Scale: radial width of the rim over the diameter of the disc
        along the same axis. Spaeth, Henderer, Liu et al., Transactions of the American Ophthalmological Society 100,
        2002, 181-186; reviewed by Cheng and Tatham 2021, doi 10.2147/OPTH.S284618. The scale's stages also need the
        disc's size in millimetres.

        Returns:
            The ratio, and degrees: the middle of the longest stretch that is absent, or else smallest. The angle is NaN
            where no rim is left at all; both are NaN without a disc.
        """
        if not self._defined or np.isnan(self.share).all():
            return math.nan, math.nan
        smallest = float(np.nanmin(self.share))
        absent = self.width < _ABSENT
        return smallest, _middle(absent if absent.any() else self.share == smallest)

    @property
    def _defined(self) -> bool:
        return not math.isnan(self.centre[0])


def rim_profile(label_map: npt.NDArray[np.uint8], eye: Eye | None = None) -> Rim:
    """Measure the rim at every degree, to within a pixel.

    Along each ray the masks are interpolated linearly, and the border is where the last half is crossed. A drawn border
    is a staircase of pixels, so five degrees are averaged, weighted 1 4 6 4 1; where the rim is absent it stays so.

    Args:
        label_map: H x W uint8; 0 background, 1 rim, 2 cup.
        eye: Right (OD) or left (OS), if known; see the module for what it does to the angles.

    Returns:
        The profile; without a disc everything is NaN.

    A disc of radius 50 with a cup of radius 30 that is shifted 10 pixels down: 10 pixels are left below, 30 above.

    >>> rows, columns = np.mgrid[:121, :121]
    >>> disc = np.hypot(rows - 60, columns - 60) <= 50
    >>> cup = np.hypot(rows - 70, columns - 60) <= 30
    >>> rim = rim_profile(disc.astype(np.uint8) + cup)
    >>> rim.width[[0, 180]].round().tolist()
    [30.0, 10.0]
    >>> ratio, angle = rim.narrowest
    >>> round(ratio, 2), angle
    (0.1, 180.0)
    """
    disc = region_mask(label_map, DISC)
    box = bounds(disc)
    if box is None:
        nothing = np.full(360, np.nan)
        return Rim(nothing, nothing, nothing, (math.nan, math.nan), eye)
    disc, cup = disc[box.slices], region_mask(label_map[box.slices], CUP)
    middle = moments(disc)
    disc_radius = _radius(disc, middle.x, middle.y, eye)
    # Both radii from the disc's centre, not the cup's: the rim is what lies between them on one ray.
    width = disc_radius - (_radius(cup, middle.x, middle.y, eye) if cup.any() else 0.0)
    disc_radius, width = _smooth(disc_radius), np.where(width < _ABSENT, width, _smooth(width))
    diameter = disc_radius + np.roll(disc_radius, 180)
    share = np.divide(width, diameter, out=np.full(360, np.nan), where=diameter > 0)
    return Rim(width, share, disc_radius, (middle.x + box.left, middle.y + box.top), eye)


def clock_hours(profile: Profile) -> npt.NDArray[np.float64]:
    """Mean of a profile in each clock hour, a right eye's clock (see the module).

    Args:
        profile: (360,), a rim's ``width`` or ``share``.

    Returns:
        (12,): hour h, from 30 h - 15 to 30 h + 15 degrees, stands at position h, 12 o'clock at position 0.
    """
    return np.array([_mean(profile, 30 * hour, 15) for hour in range(12)])


def quadrants(profile: Profile) -> dict[str, float]:
    """Mean of a profile in each quadrant of 90 degrees: superior, nasal, inferior, temporal.

    Only of a known eye nasal and temporal mean what they say.
    """
    return {name: _mean(profile, middle, 45) for name, middle in QUADRANTS.items()}


def clock_hour(angle: float) -> float:
    """The clock hour, 1 to 12, in which an angle lies; NaN stays NaN."""
    return angle if math.isnan(angle) else float(math.floor(angle / 30 + 0.5) % 12 or 12)


def place(angle: float, eye: Eye | None) -> str:
    """An angle in words: "superior", "superior nasal", ..., or "8 o'clock" as seen, of an unknown eye."""
    if math.isnan(angle):
        return ""
    if eye is None:
        return f"{clock_hour(angle):.0f} o'clock"
    east = ("superior", "superior nasal", "nasal", "inferior nasal")
    west = ("inferior", "inferior temporal", "temporal", "superior temporal")
    return (east + west)[math.floor(angle / 45 + 0.5) % 8]


def ray(eye: Eye | None) -> tuple[Profile, Profile]:
    """Unit steps along each angle's ray on the photograph: columns and rows, (360,) each."""
    angle = np.deg2rad(np.arange(360))
    # Rows run downwards, so that 0 degrees, straight up, is a step of -1.
    return (-np.sin(angle) if eye == "OS" else np.sin(angle)), -np.cos(angle)


def _radius(mask: npt.NDArray[np.bool_], x: float, y: float, eye: Eye | None) -> Profile:
    """Distance from a point to the outermost border along every ray; 0 where a ray meets nothing."""
    dx, dy = ray(eye)
    # A ring of background, so that a mask at the picture's edge ends there.
    plane = np.pad(mask.astype(np.float32), 1)
    # As far as the corner that lies farthest, so that every ray ends outside the mask.
    high, wide = max(y, mask.shape[0] - 1 - y), max(x, mask.shape[1] - 1 - x)
    steps = np.arange(0, math.hypot(high, wide) + 2, _STEP)
    # (2, 360, steps): row and column of every sample, moved by the ring.
    places = np.stack([y + 1 + dy[:, None] * steps, x + 1 + dx[:, None] * steps])
    values = ndimage.map_coordinates(plane, places, order=1, prefilter=False)
    inside = values >= 0.5
    # The last sample inside, not the first one outside: a ray may leave a kidney-shaped cup and enter it again.
    last = len(steps) - 1 - inside[:, ::-1].argmax(axis=1)
    every = np.arange(360)
    at, beyond = values[every, last].astype(np.float64), values[every, np.minimum(last + 1, len(steps) - 1)]
    met = inside.any(axis=1)  # argmax of a row of False is 0, as of a row that begins with True
    # Between the last sample inside and the next one the interpolated mask falls through a half on a straight line.
    part = np.divide(at - 0.5, at - beyond, out=np.zeros(360), where=met & (at > beyond))
    return np.where(met, steps[last] + _STEP * part, 0.0)


def _smooth(profile: Profile) -> Profile:
    """Binomial mean over five degrees."""
    smooth: Profile = ndimage.correlate1d(profile, np.array([1, 4, 6, 4, 1]) / 16, mode="wrap")
    return smooth


def _mean(profile: Profile, middle: int, half: int) -> float:
    """Mean over the angles up to ``half`` degrees either side; both ends count, so that mirroring changes nothing."""
    return float(profile[np.arange(middle - half, middle + half + 1) % 360].mean())


def _middle(chosen: npt.NDArray[np.bool_]) -> float:
    """Angle in the middle of the longest run on the circle, the first of equals; NaN where all is chosen."""
    if chosen.all():
        return math.nan
    # Cut the circle open where nothing is chosen, so that no run goes over the seam from 359 to 0.
    start = int(np.flatnonzero(~chosen)[0])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.roll(chosen, -start), [False]]).astype(np.int8)))
    firsts, ends = edges[::2], edges[1::2]
    longest = int((ends - firsts).argmax())
    return float((start + (firsts[longest] + ends[longest] - 1) / 2) % 360)
