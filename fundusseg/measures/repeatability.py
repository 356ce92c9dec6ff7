"""How much a measure differs between photographs of one unchanged eye, and what that says of differences.

Within-eye standard deviation, repeatability and smallest detectable change are those of Bland and Altman 1999, doi
10.1177/096228029900800204, and de Vet et al. 2006, doi 10.1186/1477-7525-4-54.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

REACH = 2.15
"""Half of a 95 % interval, in standard deviations.

1.96 were right for normal errors. Those of photographs have longer tails (kurtosis 8.7): of differences between two
measured deviations from an eye's mean 93.0 % lie within 1.96, 94.1 % within 2.15, and of normal ones 96.8 %."""

HOURS = tuple(f"rim_hour_{hour}" for hour in range(1, 13))
"""Mean rim/disc ratio in each clock hour of a right eye's clock, see `fundusseg.measures.rim`."""

DISC_AREA = "log_disc_area"
"""Natural logarithm of the disc's area: of two photographs of one camera its differences need no scale."""

MEASURES = ("vertical_cdr", "horizontal_cdr", "area_cdr", "rim_min_ratio", DISC_AREA, *HOURS)
"""What a repeatability is known of."""

_BY_HOUR = (0.0130, 0.0184, 0.0240, 0.0201, 0.0156, 0.0131, 0.0136, 0.0145, 0.0139, 0.0131, 0.0158, 0.0132)

WITHIN_EYE: Mapping[str, float] = {
    "vertical_cdr": 0.0252,
    "horizontal_cdr": 0.0201,
    "area_cdr": 0.0253,
    "rim_min_ratio": 0.0150,
    DISC_AREA: 0.0710,
    **dict(zip(HOURS, _BY_HOUR, strict=True)),
}
"""Measured on the shipped bundle by ``python tools/measure_repeatability.py --origa FOLDER --optic_disc_seg FOLDER
--photographs 44``: 60 eyes, 164 photographs, 104 degrees of freedom (of the disc's area 94).

16 pairs of photographs of one eye that the two sets hold, and 44 photographs taken anew three times by simulation. Of
the vertical ratio the standard deviation is 0.007 in the pairs of ORIGA, 0.027 in those of high myopia in another field
of view, 0.060 in those of pathologic myopia likewise, and 0.022 in the simulated ones: a site with other cameras or
such eyes should measure its own."""


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Within-eye standard deviations.

    Attributes:
        within_eye: Of each of `MEASURES`.
        origin: What they were measured on.
    """

    within_eye: Mapping[str, float] = field(default_factory=lambda: WITHIN_EYE)
    origin: str = "the package's own"

    def sd(self, measure: str) -> float:
        """Within-eye standard deviation of one measure."""
        return self.within_eye[measure]

    def smallest_change(self, measure: str) -> float:
        """The least difference between two photographs that is beyond their error: `REACH` sqrt(2) within-eye SD."""
        return REACH * math.sqrt(2) * self.sd(measure)

    def difference(self, one: float, other: float, measure: str) -> tuple[float, float, float]:
        """``one - other`` of two photographs with its 95 % interval; NaN where either is."""
        found, half = one - other, self.smallest_change(measure)
        return found, found - half, found + half


def within_eye_sd(eyes: Iterable[npt.NDArray[np.float64]]) -> tuple[float, int]:
    """Pooled standard deviation of repeated measurements about each eye's own mean, and its degrees of freedom.

    Args:
        eyes: Each eye's measurements; NaN are left out, and an eye with fewer than two others.

    >>> within_eye_sd([np.array([0.4, 0.5]), np.array([0.7, 0.6])])
    (0.07071067811865474, 2)
    """
    kept = [values for eye in eyes if len(values := eye[np.isfinite(eye)]) > 1]
    freedom = sum(len(values) - 1 for values in kept)
    squares = sum(float(np.square(values - values.mean()).sum()) for values in kept)
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom
