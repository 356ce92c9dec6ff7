"""How well a number tells patients from healthy people."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Floats = npt.NDArray[np.float64]

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Auc:
    """Area under the receiver operating characteristic curve.

    Attributes:
        value: The probability that a positive picture scores above a negative one, ties counted half, 0..1; NaN without
            both classes.
        low: Lower bound of the interval; NaN where a class has a single picture or patient.
        high: Upper bound. A perfect separation has no spread: its interval is 1 to 1, whatever n.
        deviation: Standard error of the area; NaN where the interval is.
    """

    value: float
    low: float
    high: float
    deviation: float = _NAN


def auc(
    scores: npt.ArrayLike,
    positive: npt.ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    level: float = 0.95,
) -> Auc:
    """Area under the curve with DeLong's interval.

    DeLong 1988 (doi 10.2307/2531595), by midranks as Sun and Xu 2014 (doi 10.1109/LSP.2014.2337313): with V10 the share
    of negatives that a positive outdoes and V01 the share of positives that outdo a negative, the variance is
    var(V10) / m + var(V01) / n. Where a patient has several pictures, their V are summed first (Obuchowski 1997,
    doi 10.2307/2533958); with one picture each that is DeLong's.

    Args:
        scores: (pictures,), higher for positives; NaN is left out. For a number that is lower in disease pass its
            negative.
        positive: (pictures,) bool.
        groups: Each picture's patient; without, every picture is taken for a patient of its own.
        level: Share of intervals that should hold the true area.

    Returns:
        The area and its interval, cut to 0..1.

    Of three patients and four healthy people, one pair of twelve stands the wrong way round:

    >>> area = auc([0.8, 0.7, 0.5, 0.6, 0.4, 0.3, 0.3], [True] * 3 + [False] * 4)
    >>> round(area.value, 3), round(area.low, 3), area.high
    (0.917, 0.686, 1.0)
    """
    numbers, truth = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    defined = ~np.isnan(numbers)
    patient = np.unique(np.arange(len(numbers)) if groups is None else np.asarray(groups), return_inverse=True)[1]
    numbers, truth, patient = numbers[defined], truth[defined], patient[defined]
    if truth.all() or not truth.any():
        return Auc(_NAN, _NAN, _NAN)
    outdone, outdoing = _placements(numbers[truth], numbers[~truth])
    value = float(outdone.mean())
    deviation = math.sqrt(_variance(outdone - value, outdoing - value, patient[truth], patient[~truth]))
    z = float(special.ndtri((1 + level) / 2))
    low, high = value - z * deviation, value + z * deviation
    # clip keeps a NaN, which max and min would lose.
    return Auc(value, float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)), deviation)


def _placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties count half."""
    # A number's midrank among all, less its midrank in its own class, counts those of the other class below it, and
    # half of its equals: n log n instead of a comparison of every pair.
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    below = (ranks[: positive.size] - stats.rankdata(positive)) / negative.size
    above = 1 - (ranks[positive.size :] - stats.rankdata(negative)) / positive.size
    return np.asarray(below, np.float64), np.asarray(above, np.float64)


def _variance(
    positive: Floats, negative: Floats, positive_patient: npt.NDArray[np.intp], negative_patient: npt.NDArray[np.intp]
) -> float:
    """Of the area, from centred placements; NaN where the patients of one class are fewer than two."""
    patients = int(max(positive_patient.max(), negative_patient.max())) + 1
    # (patients,): a patient's pictures are no independent ones, so their placements are summed first.
    one = np.bincount(positive_patient, positive, patients)
    other = np.bincount(negative_patient, negative, patients)
    m, n = len(set(positive_patient.tolist())), len(set(negative_patient.tolist()))
    everyone = len(set(positive_patient.tolist()) | set(negative_patient.tolist()))
    if min(m, n) < 2:
        return _NAN
    spread = m / (m - 1) * (one @ one) / positive.size**2 + n / (n - 1) * (other @ other) / negative.size**2
    # A patient with one ill and one healthy eye stands in both sums, which are correlated then; 0 where nobody does.
    shared = everyone / (everyone - 1) * (one @ other) / (positive.size * negative.size)
    return max(0.0, float(spread + 2 * shared))
