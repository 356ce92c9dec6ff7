"""One region of a label map against the ground truth: overlap, distance of the outlines, size and place."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.errors import ImageError
from fundusseg.imaging.roi import bounds
from fundusseg.measures.moments import moments

_NAN = float("nan")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Overlap of a found region F with the true one T; NaN where the divisor is 0.

    Attributes:
        dice: 2 |F and T| / (|F| + |T|), 0..1 (Dice 1945, doi 10.2307/1932409).
        iou: |F and T| / |F or T|, 0..1 (Jaccard 1912, doi 10.1111/j.1469-8137.1912.tb05611.x).
        precision: |F and T| / |F|, 0..1: the share of what was found that is true.
        recall: |F and T| / |T|, 0..1: the share of what is true that was found (sensitivity).
    """

    dice: float
    iou: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class SurfaceDistance:
    """Distances between two outlines, in pixels; NaN where there is none.

    Every pixel of each outline is measured to the nearest pixel of the other, and both directed sets are pooled, as
    MedPy does. MONAI takes the larger of the two directed sets' 95th percentiles instead, mostly a larger
    number: compare numbers of one definition alone.

    Attributes:
        hd95: The 95th percentile of the pooled distances (after Huttenlocher 1993, doi 10.1109/34.232073).
        assd: Their mean, the average symmetric surface distance (Heimann 2009, doi 10.1109/TMI.2009.2013851).
    """

    hd95: float = _NAN
    assd: float = _NAN


@dataclass(frozen=True, slots=True)
class SizeAndPlace:
    """Size and place of a mask against another; NaN where there is nothing to compare.

    Attributes:
        radii_ratio: sqrt(min(A, B) / max(A, B)) of the two areas A and B, 0..1: the ratio of their radii, were both
            circles. 0 where only one of the masks is empty, NaN where both are.
        centre_distance: Pixels between the two centres (mean row and column); NaN where a mask is empty.
    """

    radii_ratio: float
    centre_distance: float


def overlap(found: Mask, truth: Mask) -> Overlap:
    """Dice, intersection over union, precision and recall of one region.

    Args:
        found: H x W bool.
        truth: H x W bool.

    Returns:
        The four shares. Nothing found of a true region: Dice, IoU and recall are 0, precision is NaN; something found
        where nothing is true: Dice, IoU and precision are 0, recall is NaN; both empty: all are NaN.

    Raises:
        ImageError: The masks differ in size.

    Two squares of 4 x 4 that share half of themselves:

    >>> found, truth = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    >>> found[2:6, 0:4], truth[2:6, 2:6] = True, True
    >>> overlap(found, truth)
    Overlap(dice=0.5, iou=0.3333333333333333, precision=0.5, recall=0.5)
    """
    same_size(found, truth)
    both, one, other = (int(np.count_nonzero(mask)) for mask in (found & truth, found, truth))
    return Overlap(
        _share(2 * both, one + other), _share(both, one + other - both), _share(both, one), _share(both, other)
    )


def surface_distance(found: Mask, truth: Mask) -> SurfaceDistance:
    """HD95 and ASSD of one region, as MedPy defines them.

    A mask's outline is those of its pixels that have a pixel of the background above, below, left or right; what lies
    outside the picture is background.

    Args:
        found: H x W bool.
        truth: H x W bool.

    Returns:
        The distances; NaN where either mask is empty.

    Raises:
        ImageError: The masks differ in size.

    A square that grows by two pixels on every side; its corners move by more:

    >>> found, truth = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    >>> found[6:14, 6:14], truth[4:16, 4:16] = True, True
    >>> distance = surface_distance(found, truth)
    >>> round(distance.hd95, 2), round(distance.assd, 2)
    (2.5, 2.07)
    """
    same_size(found, truth)
    box = bounds(found | truth)
    if box is None or not (found.any() and truth.any()):
        return SurfaceDistance()
    # All outlines lie in the box around both masks, and outside of it is background: nothing is lost by the cut.
    one, other = _outline(found[box.slices]), _outline(truth[box.slices])
    distances = np.concatenate([_distance(other)[one], _distance(one)[other]])
    return SurfaceDistance(float(np.percentile(distances, 95)), float(distances.mean()))


def size_and_place(found: Mask, truth: Mask) -> SizeAndPlace:
    """Radii ratio and centre distance of two masks.

    The radii ratio and the shares of photographs above 0.90 and 0.85 are the scores of Civit-Masot et al. 2019, doi
    10.1109/ACCESS.2019.2944692. It compares one region with its truth, and is no cup/disc ratio.

    Args:
        found: H x W bool.
        truth: H x W bool.

    A square of half the side, three columns off the centre:

    >>> found, truth = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    >>> found[8:12, 11:15], truth[6:14, 6:14] = True, True
    >>> size_and_place(found, truth)
    SizeAndPlace(radii_ratio=0.5, centre_distance=3.0)
    """
    one, other = moments(found), moments(truth)
    # Finding nothing of something is as wrong as can be, 0; nothing of nothing is neither right nor wrong, NaN.
    if one.area == 0 == other.area:
        return SizeAndPlace(_NAN, _NAN)
    if 0 in (one.area, other.area):
        return SizeAndPlace(0.0, _NAN)
    ratio = math.sqrt(min(one.area, other.area) / max(one.area, other.area))
    return SizeAndPlace(ratio, math.hypot(one.x - other.x, one.y - other.y))


def same_size(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
    """Refuse two pictures that cannot be laid on each other.

    Raises:
        ImageError: They differ in size.
    """
    if found.shape != truth.shape:
        sizes = [" x ".join(str(length) for length in array.shape[::-1]) for array in (found, truth)]
        raise ImageError(
            f"a result of {sizes[0]} pixels", f"the truth's {sizes[1]}", "bring both to the photograph's size"
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else _NAN


def _outline(mask: Mask) -> Mask:
    # Eroded by the four neighbours; beyond the picture counts as background, so a mask has an outline at its edge.
    return mask & ~ndimage.binary_erosion(mask)


def _distance(outline: Mask) -> npt.NDArray[np.float64]:
    """Each pixel's distance to the nearest one of the outline."""
    return np.asarray(ndimage.distance_transform_edt(~outline), np.float64)
