"""How one label map's disc and cup agree with another's in size and place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ImageError
from fundusseg.masks import region_mask
from fundusseg.moments import moments
from fundusseg.sample import CUP, DISC, Region

_NAN = float("nan")


@dataclass(frozen=True)
class Agreement:
    """Size and place of disc and cup against a reference; NaN where there is nothing to compare.

    Attributes:
        disc_radii_ratio: sqrt(min(A, B) / max(A, B)) of the two areas A and B, 0..1: the ratio of their radii, were
            both circles.
        cup_radii_ratio: As of the disc.
        disc_centre_distance: Pixels between the two centres (mean row and column).
        cup_centre_distance: As of the disc.
        reason: Why a value is undefined or 0; empty when all is well.
    """

    disc_radii_ratio: float = _NAN
    cup_radii_ratio: float = _NAN
    disc_centre_distance: float = _NAN
    cup_centre_distance: float = _NAN
    reason: str = ""


def agreement(
    label_map: npt.NDArray[np.uint8],
    reference: npt.NDArray[np.uint8],
    regions: Sequence[Region] = (DISC, CUP),
) -> Agreement:
    """Radii ratio and centre distance of disc and cup.

    The radii ratio and the shares of photographs above 0.90 and 0.85 are the scores of the clinical studies that this
    project reproduces. It compares one region with its reference, and is no cup/disc ratio.

    Args:
        label_map: H x W uint8; 0 background, 1 rim, 2 cup.
        reference: H x W uint8, the experts'; same codes.
        regions: What both maps' makers looked for; others are not compared.

    Returns:
        The agreement. Found in one map alone: the ratio is 0 and the distance NaN. In neither: both are NaN.

    Raises:
        ImageError: The maps differ in size.
    """
    if label_map.shape != reference.shape:
        raise ImageError(
            f"a label map of {label_map.shape[1]} x {label_map.shape[0]} pixels",
            f"the reference's {reference.shape[1]} x {reference.shape[0]}",
            "bring both to the photograph's size",
        )
    values: dict[str, float] = {}
    reasons = []
    for region in (DISC, CUP):
        if region not in regions:
            reasons.append(f"no {region} looked for")
            continue
        ratio, distance, reason = _compare(region_mask(label_map, region), region_mask(reference, region))
        values |= {f"{region}_radii_ratio": ratio, f"{region}_centre_distance": distance}
        reasons += [reason.format(region)] if reason else []
    return Agreement(**values, reason=", ".join(reasons))


def _compare(found: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> tuple[float, float, str]:
    """Radii ratio, centre distance, and what is missing."""
    one, other = moments(found), moments(true)
    if one.area == 0 == other.area:
        return _NAN, _NAN, "no {} in either map"
    if 0 in (one.area, other.area):
        return 0.0, _NAN, "no {} found" if one.area == 0 else "no {} in the reference"
    ratio = math.sqrt(min(one.area, other.area) / max(one.area, other.area))
    return ratio, math.hypot(one.x - other.x, one.y - other.y), ""
