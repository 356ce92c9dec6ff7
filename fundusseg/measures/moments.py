"""A mask's centre, and the ellipse that spreads as it does: its axes, its tilt, its own mask."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.sample import Eye

_PIXEL = 1.0 / 12.0
"""Variance of a pixel's own square about its centre: so that even one pixel has axes."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Area, centre and spread of a mask, after Teague 1980 (doi 10.1364/JOSA.70.000920).

    Attributes:
        area: Pixels.
        x: Mean column; whole numbers are pixel centres.
        y: Mean row.
        xx: Variance along the columns, in square pixels, each pixel counted as the square it is.
        yy: Variance along the rows.
        xy: Covariance.
    """

    area: float
    x: float
    y: float
    xx: float
    yy: float
    xy: float

    @property
    def axes(self) -> tuple[float, float]:
        """Full lengths of the major and minor axis in pixels: 4 sqrt(eigenvalue of the covariance).

        An ellipse has exactly its own axes.
        """
        mean, half = (self.xx + self.yy) / 2, math.hypot((self.xx - self.yy) / 2, self.xy)
        return 4 * math.sqrt(mean + half), 4 * math.sqrt(max(0.0, mean - half))

    def tilt(self, eye: Eye | None = None) -> float:
        """Angle of the major axis from the photograph's upright: 0.5 atan2(2 cov(x, up), var(up) - var(x)).

        Publications call it the disc's torsion (and major over minor axis its tilt ratio).

        Args:
            eye: A left eye is mirrored first, so that both eyes compare.

        Returns:
            Degrees in (-90, 90]: 0 upright, positive where the upper end leans clockwise, which is to the nasal side.
            NaN where no axis is longer than the other.
        """
        # A left eye is mirrored, which turns the covariance's sign; rows run downwards, which turns it once more.
        across, along = (2.0 if eye == "OS" else -2.0) * self.xy, self.yy - self.xx
        if math.hypot(across, along) <= 1e-9 * (self.xx + self.yy):
            return math.nan
        angle = math.degrees(math.atan2(across, along)) / 2
        return angle if angle > -90 else 90.0

    def ellipse(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Pixels whose centre lies inside the ellipse of this centre and these axes.

        Args:
            shape: Rows and columns of the mask to make.

        Returns:
            H x W bool.
        """
        mask = np.zeros(shape, dtype=bool)
        # Only the box that the ellipse fills is looked at: its half sides are two standard deviations.
        columns = _run(self.x, 2 * math.sqrt(self.xx), shape[1])
        rows = _run(self.y, 2 * math.sqrt(self.yy), shape[0])
        x = np.arange(shape[1])[None, columns] - self.x
        y = np.arange(shape[0])[rows, None] - self.y
        # Mahalanobis distance of at most 2, multiplied by the determinant.
        spread = self.xx * self.yy - self.xy**2
        mask[rows, columns] = self.yy * x**2 - 2 * self.xy * x * y + self.xx * y**2 <= 4 * spread
        return mask


def moments(mask: npt.NDArray[np.bool_]) -> Moments:
    """Area, centre and spread of a mask.

    Args:
        mask: H x W bool.

    Returns:
        The moments; of an empty mask the area is 0 and all else NaN.

    An upright ellipse, 100 pixels high and 50 wide:

    >>> rows, columns = np.mgrid[:120, :120]
    >>> found = moments(np.hypot((rows - 60) / 50, (columns - 60) / 25) <= 1)
    >>> [round(axis) for axis in found.axes], found.x, found.y
    ([100, 50], 60.0, 60.0)
    """
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return Moments(0.0, *[math.nan] * 5)
    x, y = float(columns.mean()), float(rows.mean())
    xx, yy = float(np.square(columns - x).mean()), float(np.square(rows - y).mean())
    xy = float(((columns - x) * (rows - y)).mean())
    return Moments(float(rows.size), x, y, xx + _PIXEL, yy + _PIXEL, xy)


def _run(middle: float, half: float, size: int) -> slice:
    """The pixels within ``half`` of the middle, cut to the picture."""
    return slice(max(0, math.floor(middle - half)), min(size, math.ceil(middle + half) + 1))
