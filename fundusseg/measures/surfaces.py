"""How far a mask's outline runs from the true one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.measures.overlap import same_size

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Surfaces:
    """Distances between two outlines, in pixels; NaN where there is none.

    Every pixel of each outline is measured to the nearest pixel of the other, and both directions are pooled.

    Attributes:
        hd95: The 95th percentile of the distances (after Huttenlocher 1993, doi 10.1109/34.232073).
        assd: Their mean, the average symmetric surface distance (Heimann 2009, doi 10.1109/TMI.2009.2013851).
    """

    hd95: float = _NAN
    assd: float = _NAN


def surface_distance(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Surfaces:
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
    """
    same_size(found, truth)
    if not (found.any() and truth.any()):
        return Surfaces()
    # All outlines lie in the box around both masks, and outside of it is background: nothing is lost by the cut.
    box = ndimage.find_objects((found | truth).astype(np.uint8))[0]
    one, other = _outline(found[box]), _outline(truth[box])
    distances = np.concatenate([_distance(other)[one], _distance(one)[other]])
    return Surfaces(float(np.percentile(distances, 95)), float(distances.mean()))


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)


def _distance(outline: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Each pixel's distance to the nearest one of the outline."""
    return np.asarray(ndimage.distance_transform_edt(~outline), np.float64)
