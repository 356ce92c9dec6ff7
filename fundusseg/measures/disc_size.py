"""The disc's size where the photograph's scale is known, and the stage of damage that must be read beside it.

A large disc has a large cup without any damage: over the sizes of healthy discs the median vertical ratio rises from
0.35 to 0.55 (Crowston et al. 2004, doi 10.1136/bjo.2003.028548).
"""

import math

SMALL, LARGE = 1.5, 2.0
"""Vertical diameters in mm that part small, average and large discs in the Disc Damage Likelihood Scale."""

MICRODISC, MACRODISC = 1.29, 4.09
"""Areas in mm2, two standard deviations from the mean of healthy discs: Jonas et al. 1999, doi
10.1016/S0039-6257(98)00049-6."""

_RUNGS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Narrowest rim/disc ratios at which a stage begins."""

_ABSENT = (45, 90, 180, 270)
"""Degrees without rim up to which a stage goes."""

_FIRST = {"small": 1, "average": 0, "large": -1}
"""Stage of a small disc of the widest rim, and what an average and a large one are spared."""


def size_class(height: float) -> str:
    """``small``, ``average`` or ``large`` by the vertical diameter in mm; empty where it is NaN."""
    if math.isnan(height):
        return ""
    return "small" if height < SMALL else "large" if height > LARGE else "average"


def area_class(area: float) -> str:
    """``microdisc``, ``usual`` or ``macrodisc`` by the area in mm2; empty where it is NaN."""
    if math.isnan(area):
        return ""
    return "microdisc" if area < MICRODISC else "macrodisc" if area > MACRODISC else "usual"


def ddls_stage(narrowest: float, absent: float, height: float) -> float:
    """Stage of the Disc Damage Likelihood Scale, corrected for the disc's size; NaN where anything is unknown.

    Henderer, British Journal of Ophthalmology 90(4), 2006, 395-396, table 1 (PMC1856990).

    Args:
        narrowest: Smallest rim/disc ratio.
        absent: Degrees without rim.
        height: Vertical diameter of the disc in mm.

    Returns:
        1 (least) to 10.

    >>> [ddls_stage(0.25, 0, height) for height in (1.3, 1.8, 2.2)]
    [4.0, 3.0, 2.0]
    >>> ddls_stage(0.0, 100, 1.8)
    8.0
    """
    if math.isnan(narrowest) or math.isnan(absent) or math.isnan(height):
        return math.nan
    if absent > 0:
        rung = len(_RUNGS) + 1 + sum(absent > extent for extent in _ABSENT)
    else:
        rung = sum(narrowest < begin for begin in _RUNGS)
    return float(min(10, max(1, rung + _FIRST[size_class(height)])))
