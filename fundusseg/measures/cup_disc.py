"""From a label map to the numbers of glaucoma work: cup/disc ratios, axes, rim; and why one is undefined."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import get_args

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.imaging.roi import bounds
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.moments import moments
from fundusseg.measures.rim import clock_hour, quadrants, rim_profile
from fundusseg.sample import CUP, DISC, Eye, Region

_NAN = float("nan")

_TIE = 0.1
"""Pixels: mean rim widths closer than that are equal, for a drawn border tells no more."""

NOT_SOUGHT = {DISC: "no disc looked for", CUP: "no cup looked for"}
"""Reasons that say nothing of the photograph."""

EYE_UNKNOWN = "eye not known: no nasal, no temporal side"


@dataclass(frozen=True)
class Measures:
    """What one label map says about disc and cup; NaN where it says nothing.

    All lengths are in pixels. Angles are those of a right eye's clock, a left eye is mirrored first (see
    ``fundusseg.measures.rim``); of an unknown eye they are as seen.

    Attributes:
        vertical_cdr: Cup height over disc height, 0..1.
        horizontal_cdr: Cup width over disc width, 0..1.
        area_cdr: Cup area over disc area, 0..1.
        disc_area: Pixels, the cup included.
        cup_area: Pixels.
        disc_height: Rows between the first and the last of the disc, both counted.
        disc_width: Columns, likewise.
        cup_height: Rows of the cup.
        cup_width: Columns of the cup.
        disc_major: Major axis, full length, of the ellipse that spreads as the disc does, see
            ``fundusseg.measures.moments``.
        disc_minor: Its minor axis.
        disc_tilt: Degrees in (-90, 90] from upright to the disc's major axis; positive where its upper end leans
            clockwise, to the nasal side. It means little where the two axes are nearly equal.
        cup_major: As of the disc.
        cup_minor: As of the disc.
        cup_tilt: As of the disc.
        rim_min_ratio: Smallest rim/disc ratio, that of the Disc Damage Likelihood Scale (``fundusseg.measures.rim``).
        rim_min_angle: Degrees where it lies: 0 superior, 90 nasal, 180 inferior, 270 temporal.
        rim_min_clock_hour: The clock hour, 1 to 12: 12 superior, 3 nasal, 6 inferior, 9 temporal.
        rim_absent: Degrees without rim, 0..360.
        rim_inferior: Mean rim width over the 90 degrees around 6 o'clock.
        rim_superior: Around 12 o'clock.
        rim_nasal: Around 3 o'clock of a right eye.
        rim_temporal: Around 9 o'clock of a right eye.
        isnt_kept: 1 where the rim is inferior >= superior >= nasal >= temporal, 0 where not.
        isnt_reason: Which quadrants break the order, "inferior < superior"; or why nothing is said.
        disc_area_mm2: Square millimetres; NaN, without a reason, where no scale is given.
        cup_area_mm2: As of the disc.
        reason: Why ratios are undefined or 0; empty when all is well.

    A disc of 100 rows and 80 columns with a cup of 60 x 40 that sits low:

    >>> label_map = np.zeros((120, 120), np.uint8)
    >>> label_map[10:110, 20:100] = 1
    >>> label_map[40:100, 40:80] = 2
    >>> found = measure(label_map, eye="OD")
    >>> found.vertical_cdr, found.horizontal_cdr, found.area_cdr
    (0.6, 0.5, 0.3)
    >>> found.rim_min_clock_hour, found.isnt_reason
    (6.0, 'inferior < superior')
    >>> measure(np.zeros((120, 120), np.uint8)).reason
    'no disc found'
    """

    vertical_cdr: float = _NAN
    horizontal_cdr: float = _NAN
    area_cdr: float = _NAN
    disc_area: float = _NAN
    cup_area: float = _NAN
    disc_height: float = _NAN
    disc_width: float = _NAN
    cup_height: float = _NAN
    cup_width: float = _NAN
    disc_major: float = _NAN
    disc_minor: float = _NAN
    disc_tilt: float = _NAN
    cup_major: float = _NAN
    cup_minor: float = _NAN
    cup_tilt: float = _NAN
    rim_min_ratio: float = _NAN
    rim_min_angle: float = _NAN
    rim_min_clock_hour: float = _NAN
    rim_absent: float = _NAN
    rim_inferior: float = _NAN
    rim_superior: float = _NAN
    rim_nasal: float = _NAN
    rim_temporal: float = _NAN
    isnt_kept: float = _NAN
    isnt_reason: str = ""
    disc_area_mm2: float = _NAN
    cup_area_mm2: float = _NAN
    reason: str = ""


def measure(
    label_map: npt.NDArray[np.uint8],
    regions: Sequence[Region] = (DISC, CUP),
    *,
    eye: Eye | None = None,
    millimetres_per_pixel: float | None = None,
) -> Measures:
    """Cup/disc ratios, axes and rim of one label map.

    The vertical ratio is ``(last cup row - first cup row + 1) / (last disc row - first disc row + 1)``, the
    horizontal one the same over columns, the area ratio ``|cup| / |disc|``, where the disc includes its cup.
    Vertical is the photograph's own upright.

    Each extent is known to one pixel, so a linear ratio r of a disc of d pixels is known to ``(1 + r) / d``.

    The ratio is Armaly's, of the 1960s; for its use on outlines see Tsutsumi et al., Investigative Ophthalmology &
    Visual Science 53(3), 2012, doi 10.1167/iovs.11-8533. The order of the rim's quadrants is the ISNT rule, Harizman
    et al., Archives of Ophthalmology 124(11), 2006, doi 10.1001/archopht.124.11.1579, who judged the rim at 3, 6, 9
    and 12 o'clock: 79 % of their healthy eyes kept it, and 28 % of those with glaucoma. Here means over quadrants are
    compared.

    Args:
        label_map: H x W uint8; 0 background, 1 rim, 2 cup.
        regions: What the map's maker looked for. A model that knows no cup has not found a cup of 0.
        eye: Right (OD) or left (OS); without it nasal and temporal are undefined.
        millimetres_per_pixel: The photograph's scale on the retina, if it is known.

    Returns:
        The measures. No disc: everything is NaN. A disc without cup: ratios and cup sizes are 0, the cup's axes are
        NaN, and the rim is all of the disc's radius; or all these are NaN when no cup was looked for. ``reason`` says
        so.

    Raises:
        ConfigurationError: The eye is neither OD nor OS, the scale is not above 0, or the map holds grey values such as
            0/128/255 instead of codes.
    """
    _check(eye)
    check_scale(millimetres_per_pixel)
    _check_codes(label_map, max(len(regions), len((DISC, CUP))))
    if DISC not in regions:
        return Measures(reason=NOT_SOUGHT[DISC])
    disc = region_mask(label_map, DISC)
    box = bounds(disc)
    if box is None:
        return Measures(reason="no disc found")
    # Nothing lies outside the disc's box: a disc is a small part of a photograph.
    around = box.slices
    found = _disc(disc[around], eye)
    if CUP not in regions:
        return _in_millimetres(replace(found, reason=NOT_SOUGHT[CUP]), millimetres_per_pixel)
    # Disc, cup, rim, in this order: each takes its share from what was measured before it.
    found = _rim(_cup(found, region_mask(label_map[around], CUP), eye), label_map[around], eye)
    return _in_millimetres(found, millimetres_per_pixel)


def vertical_ratio(label_map: npt.NDArray[np.uint8], regions: Sequence[Region] = (DISC, CUP)) -> float:
    """The vertical ratio of `measure` alone, in a tenth of the time.

    Args:
        label_map: H x W uint8; 0 background, 1 rim, 2 cup.
        regions: What the map's maker looked for.
    """
    disc = bounds(region_mask(label_map, DISC)) if {DISC, CUP} <= set(regions) else None
    if disc is None:
        return _NAN
    cup = bounds(region_mask(label_map[disc.slices], CUP))
    return (cup.height if cup else 0) / disc.height


def check_scale(scale: float | None) -> None:
    """Refuse a scale that is not above 0, in millimetres per pixel.

    Raises:
        ConfigurationError: It is not.
    """
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ConfigurationError(
            f"a scale of {scale} millimetres per pixel",
            "a number above 0",
            "give the camera's scale, or none",
        )


def _check(eye: str | None) -> None:
    """Refuse what a user may have mistyped."""
    if eye is not None and eye not in get_args(Eye):
        raise ConfigurationError(
            f"the eye {eye!r}", "OD for a right eye or OS for a left one", "give OD, OS or nothing"
        )


def _check_codes(label_map: npt.NDArray[np.uint8], largest: int) -> None:
    """Refuse what is no label map: no disc, or a wrong one, would be found in grey values, and nobody told why."""
    if not isinstance(label_map, np.ndarray) or label_map.ndim != 2:
        form = f"an array of shape {label_map.shape}" if isinstance(label_map, np.ndarray) else type(label_map).__name__
        raise ConfigurationError(
            f"a label map that is {form}", "one H x W array of codes", "take one channel of it by np.asarray(map)"
        )
    if label_map.min(initial=0) >= 0 and label_map.max(initial=0) <= largest:
        return
    values = np.unique(label_map).tolist()
    if max(values) < 64 or min(values) < 0:  # no greys that are far apart
        cure = "give each of its codes one of these"
    elif len(values) == 2:
        cure = "give np.uint8(mask > 127), where white is disc, with regions=['disc']"
    elif label_map[0, 0] > 127:
        cure = "of white around grey around black make np.uint8(mask < 192) + np.uint8(mask < 64)"
    else:
        cure = "of black around grey around white make np.uint8(mask >= 64) + np.uint8(mask >= 192)"
    raise ConfigurationError(
        f"a label map of the values {', '.join(map(str, values[:8]))}{', ...' if len(values) > 8 else ''}",
        "the codes 0 background, 1 rim, 2 cup",
        cure,
    )


def _disc(mask: npt.NDArray[np.bool_], eye: Eye | None) -> Measures:
    """Sizes and axes of a disc that fills its box."""
    spread = moments(mask)
    major, minor = spread.axes
    return Measures(
        disc_area=spread.area,
        disc_height=float(mask.shape[0]),
        disc_width=float(mask.shape[1]),
        disc_major=major,
        disc_minor=minor,
        disc_tilt=spread.tilt(eye),
    )


def _cup(found: Measures, mask: npt.NDArray[np.bool_], eye: Eye | None) -> Measures:
    """Add sizes and axes of the cup, and the ratios."""
    box, spread = bounds(mask), moments(mask)
    height, width = (float(box.height), float(box.width)) if box else (0.0, 0.0)
    major, minor = spread.axes if box else (_NAN, _NAN)
    return replace(
        found,
        vertical_cdr=height / found.disc_height,
        horizontal_cdr=width / found.disc_width,
        area_cdr=spread.area / found.disc_area,
        cup_area=spread.area,
        cup_height=height,
        cup_width=width,
        cup_major=major,
        cup_minor=minor,
        cup_tilt=spread.tilt(eye) if box else _NAN,
        reason="" if box else "no cup found: ratio 0",
    )


def _rim(found: Measures, label_map: npt.NDArray[np.uint8], eye: Eye | None) -> Measures:
    """Add the rim's widths, its narrowest place and its order."""
    rim = rim_profile(label_map, eye)
    ratio, angle = rim.narrowest
    widths = quadrants(rim.width)
    kept, reason = _isnt(widths) if eye else (_NAN, EYE_UNKNOWN)
    if found.cup_area == 0 or rim.absent == len(rim.width):
        kept, reason = _NAN, "no cup" if found.cup_area == 0 else "no rim"
    return replace(
        found,
        rim_min_ratio=ratio,
        rim_min_angle=angle,
        rim_min_clock_hour=clock_hour(angle),
        rim_absent=rim.absent,
        rim_inferior=widths["inferior"],
        rim_superior=widths["superior"],
        rim_nasal=widths["nasal"] if eye else _NAN,
        rim_temporal=widths["temporal"] if eye else _NAN,
        isnt_kept=kept,
        isnt_reason=reason,
    )


def _isnt(widths: dict[str, float]) -> tuple[float, str]:
    """Whether inferior >= superior >= nasal >= temporal, and what breaks it."""
    order = ("inferior", "superior", "nasal", "temporal")
    # Neighbours in the order alone, as the rule is read; a tie keeps it.
    broken = [f"{a} < {b}" for a, b in pairwise(order) if widths[a] < widths[b] - _TIE]
    return float(not broken), ", ".join(broken)


def _in_millimetres(found: Measures, scale: float | None) -> Measures:
    """Add the areas in square millimetres, where there is a scale."""
    if scale is None:
        return found
    return replace(found, disc_area_mm2=found.disc_area * scale**2, cup_area_mm2=found.cup_area * scale**2)
