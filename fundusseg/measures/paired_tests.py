"""Whether one model is better than another on the same pictures, beyond chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from fundusseg.measures.bootstrap import clusters, mean_interval

_NAN = float("nan")

LEVEL = 0.05
"""Probability below which a difference is beyond chance."""

FEWEST_TESTED = 6
"""Patients below whom the signed-rank test cannot pass 0.05, whatever the difference: 2 / 2**5 is 0.06."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One model's numbers minus the other's, over the same pictures.

    Attributes:
        n: Pictures where both numbers are defined.
        undefined: Pictures where one is not.
        mean: Mean difference over the pictures; NaN where there is none.
        low: Lower bound of its 95 % bootstrap interval over patients; NaN with too few patients, see
            `fundusseg.measures.bootstrap`.
        high: Upper bound.
        p: Two-sided probability of the Wilcoxon signed-rank test over the patients' mean differences (Wilcoxon 1945,
            doi 10.2307/3001968), patients without a difference left out; 1 where nobody has one.
        patients: Patients with a defined picture.
    """

    n: int
    undefined: int
    mean: float = _NAN
    low: float = _NAN
    high: float = _NAN
    p: float = _NAN
    patients: int = 0


def beyond_chance(difference: Difference, p: float) -> bool:
    """Whether interval and test agree that a difference is not 0.

    Args:
        difference: Its interval must leave out 0.
        p: Its probability, below `LEVEL`; of several differences the one that `holm` has adjusted.
    """
    return (difference.low > 0 or difference.high < 0) and p < LEVEL


def paired(
    one: npt.ArrayLike,
    other: npt.ArrayLike,
    groups: Sequence[str],
    strata: Sequence[str] | None = None,
    seed: int = 0,
) -> Difference:
    """Compare two columns of the same pictures.

    Args:
        one: (pictures,).
        other: (pictures,), subtracted; pairs with a NaN are left out and counted.
        groups: Each picture's patient.
        strata: Each picture's source.
        seed: Of the bootstrap.

    Returns:
        The difference with interval and probability.
    """
    # Of equal numbers a rounding error may be left, which the test would rank as a difference.
    difference = np.round(np.asarray(one, np.float64) - np.asarray(other, np.float64), 12)
    defined = np.flatnonzero(~np.isnan(difference)).tolist()
    undefined = difference.size - len(defined)
    if not defined:
        return Difference(0, undefined)
    design = clusters([groups[i] for i in defined], None if strata is None else [strata[i] for i in defined])
    values = difference[defined]
    # One number a patient: the test takes its numbers for independent, and two eyes of one patient are not.
    means = np.round(np.bincount(design.group, values) / np.bincount(design.group), 12)
    p = float(stats.wilcoxon(means).pvalue) if means.any() else 1.0
    low, high = mean_interval(difference, groups, strata, seed=seed)
    return Difference(len(defined), undefined, float(values.mean()), low, high, p, means.size)


def holm(p_values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Adjust probabilities so that all of a table's together err in at most their level (Holm 1979).

    The i-th smallest of m becomes the largest of (m - j + 1) p_j over j up to i, at most 1
    (https://www.jstor.org/stable/4615733).

    Args:
        p_values: Probabilities, 0..1; NaN stays and is not counted.

    Returns:
        The adjusted ones, in the same order.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    adjusted = values.copy()
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]  # NaN sorts last
    # The smallest of m is multiplied by m, the next by m - 1, ...; none may become smaller than the one before it.
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return adjusted
