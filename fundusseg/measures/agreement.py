"""How one mask agrees with another in size and place."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.measures.moments import moments


@dataclass(frozen=True, slots=True)
class Agreement:
    """Size and place of a mask against another; NaN where there is nothing to compare.

    Attributes:
        radii_ratio: sqrt(min(A, B) / max(A, B)) of the two areas A and B, 0..1: the ratio of their radii, were both
            circles. 0 where only one of the masks is empty, NaN where both are.
        centre_distance: Pixels between the two centres (mean row and column); NaN where a mask is empty.
    """

    radii_ratio: float
    centre_distance: float


def agreement(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Agreement:
    """Radii ratio and centre distance of two masks.

    The radii ratio and the shares of photographs above 0.90 and 0.85 are the scores of Civit-Masot et al. 2019, doi
    10.1109/ACCESS.2019.2944692. It compares one region with its truth, and is no cup/disc ratio.

    Args:
        found: H x W bool.
        truth: H x W bool.
    """
    one, other = moments(found), moments(truth)
    if one.area == 0 == other.area:
        return Agreement(math.nan, math.nan)
    if 0 in (one.area, other.area):
        return Agreement(0.0, math.nan)
    ratio = math.sqrt(min(one.area, other.area) / max(one.area, other.area))
    return Agreement(ratio, math.hypot(one.x - other.x, one.y - other.y))
