"""How much of a mask lies on the true one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ImageError


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


def overlap(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Overlap:
    """Dice, intersection over union, precision and recall of one region.

    Args:
        found: H x W bool.
        truth: H x W bool.

    Returns:
        The four shares. Nothing found of a true region: Dice, IoU and recall are 0, precision is NaN; something found
        where nothing is true: Dice, IoU and precision are 0, recall is NaN; both empty: all are NaN.

    Raises:
        ImageError: The masks differ in size.
    """
    same_size(found, truth)
    both, one, other = (int(np.count_nonzero(mask)) for mask in (found & truth, found, truth))
    return Overlap(
        _share(2 * both, one + other), _share(both, one + other - both), _share(both, one), _share(both, other)
    )


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
    return part / whole if whole else float("nan")
