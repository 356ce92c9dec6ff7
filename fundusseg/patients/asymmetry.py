"""Right eye beside left: how far apart they are, with the interval that measurement error leaves."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from fundusseg.inference.result_paths import contours_path
from fundusseg.measures.repeatability import DISC_AREA, Repeatability
from fundusseg.patients.eyes import Patient, Visit
from fundusseg.patients.run_files import RunFiles

CONVENTION = 0.2
"""Asymmetry of the vertical ratio that clinical convention calls suspicious: 97.5 % of adults without glaucoma are
below 0.19, 2.1 % at or above 0.20. Qiu, Boland and Ramulu, Cup-to-Disc Ratio Asymmetry in U.S. Adults, Ophthalmology
2017; definitions of glaucoma in surveys take the 97.5th percentile, Foster et al. 2002, doi 10.1136/bjo.86.2.238."""

_NOTHING = (math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False, slots=True)
class Asymmetry:
    """Right less left, each with its 95 % interval; NaN where an eye has no such number.

    Attributes:
        right: The right eye's visit.
        left: The left eye's.
        vertical_cdr: Of the vertical ratio.
        rim_min_ratio: Of the narrowest rim/disc ratio.
        disc_area_ratio: The right disc's area over the left one's, where both are in one unit.
    """

    right: Visit
    left: Visit
    vertical_cdr: tuple[float, float, float]
    rim_min_ratio: tuple[float, float, float]
    disc_area_ratio: tuple[float, float, float]

    @property
    def convention(self) -> str:
        """Whether the convention of 0.2 is ``reached``, ``not reached`` or ``uncertain``."""
        found, low, high = self.vertical_cdr
        if math.isnan(found):
            return ""
        # Distance from 0, whichever eye has the larger ratio.
        least, most = sorted((abs(low), abs(high))) if low * high > 0 else (0.0, max(abs(low), abs(high)))
        return "reached" if least >= CONVENTION else "not reached" if most < CONVENTION else "uncertain"

    @property
    def days_apart(self) -> int:
        """Between the two photographs; 0 where a date is missing."""
        return abs((self.right.day - self.left.day).days) if self.right.day and self.left.day else 0

    @property
    def sentence(self) -> str:
        """The vertical ratios side by side."""
        found, low, high = self.vertical_cdr
        right, left = (visit.best.row["vertical_cdr"] for visit in (self.right, self.left))
        said = f"vertical ratio {right:.2f} right, {left:.2f} left: {found:+.2f} ({low:+.2f} to {high:+.2f}) apart"
        of_it = {"reached": "reached", "not reached": "not reached", "uncertain": "within the interval"}
        said += f"; the clinical convention of {CONVENTION} is {of_it[self.convention]}"
        return said + (f"; the eyes were photographed {self.days_apart} days apart" if self.days_apart else "")


def asymmetry(patient: Patient, repeatability: Repeatability, files: RunFiles | None = None) -> Asymmetry | None:
    """Of the last day on which both eyes are measured, or else of each eye's last visit; None where one is missing.

    Args:
        patient: Of one or two eyes.
        repeatability: Error of the measures.
        files: Where predict wrote each photograph's size; None takes both for one size.
    """
    if len(patient.eyes) < 2:
        return None
    right, left = patient.eyes["OD"], patient.eyes["OS"]
    days = {visit.day: visit for visit in right.measured}
    both = [(days[visit.day], visit) for visit in left.measured if visit.day and visit.day in days]
    pair = both[-1] if both else (right.latest, left.latest)
    if pair[0] is None or pair[1] is None:
        return None
    rows = pair[0].best.row, pair[1].best.row

    def difference(name: str) -> tuple[float, float, float]:
        one, other = (row.get(name) for row in rows)
        return _NOTHING if one is None or other is None else repeatability.difference(one, other, name)

    ratio, rim = difference("vertical_cdr"), difference("rim_min_ratio")
    return Asymmetry(pair[0], pair[1], ratio, rim, _disc_areas(pair[0], pair[1], repeatability, files))


def _disc_areas(
    right: Visit, left: Visit, repeatability: Repeatability, files: RunFiles | None
) -> tuple[float, float, float]:
    """Ratio of the discs' areas, from the logarithms; without a scale, of photographs of one size alone."""
    areas = []
    for visit in (right, left):
        row = visit.best.row
        scale = scale_of(row)[0]
        areas.append((row.get("disc_area"), scale, row.get("device")))
    (one, scale, device), (other, other_scale, other_device) = areas
    if not one or not other or (scale is None) != (other_scale is None) or device != other_device:
        return _NOTHING
    if scale and other_scale:
        one, other = one * scale**2, other * other_scale**2
    elif files is not None and (_size(right, files) is None or _size(right, files) != _size(left, files)):
        return _NOTHING
    low, middle, high = sorted(map(math.exp, repeatability.difference(math.log(one), math.log(other), DISC_AREA)))
    return middle, low, high


def _size(visit: Visit, files: RunFiles) -> tuple[int, int] | None:
    """Width and height of its best photograph, as predict wrote them beside the outlines; None where that is gone."""
    try:
        content = json.loads(files.local(contours_path(Path(), visit.best.entry.name)).read_text())
        return content["width"], content["height"]
    except (OSError, ValueError, KeyError):
        return None


def scale_of(row: dict[str, object]) -> tuple[float | None, str]:
    """Millimetres per pixel, and whether they were ``given`` or are the camera's ``nominal`` claim."""
    pixels, area, nominal = row.get("disc_area"), row.get("disc_area_mm2"), row.get("nominal_mm_per_pixel")
    if isinstance(area, int | float) and isinstance(pixels, int | float) and pixels > 0:
        return math.sqrt(area / pixels), "given"
    if isinstance(nominal, int | float) and nominal > 0:
        return float(nominal), "nominal"
    return None, ""
