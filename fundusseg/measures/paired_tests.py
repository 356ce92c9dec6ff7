"""Whether one model is better than another on the same pictures, beyond chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from fundusseg.measures.bootstrap import Indices, clusters, sums_intervals
from fundusseg.measures.sufficient_statistics import Floats, mean

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
        rank_biserial: Matched-pairs rank-biserial correlation, -1..1 (Kerby 2014, doi 10.2466/11.IT.3.1): how far the
            test's signed ranks lean to the first; its sign need not be that of the mean. 0 where nobody has one.
    """

    n: int
    undefined: int
    mean: float = _NAN
    low: float = _NAN
    high: float = _NAN
    p: float = _NAN
    patients: int = 0
    rank_biserial: float = _NAN


def beyond_chance(difference: Difference, p: float) -> bool:
    """Whether interval and test agree that a difference is not 0, and which way it goes.

    Args:
        difference: Its interval must leave out 0, on the side that its ranks lean to.
        p: Its probability, below `LEVEL`; of several differences the one that `holm` has adjusted.
    """
    lean = difference.rank_biserial
    return lean * difference.low > 0 and lean * difference.high > 0 and p < LEVEL


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
    (found,) = paired_all([(one, other)], groups, strata, seed)
    return found


def paired_all(
    pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    groups: Sequence[str],
    strata: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Difference]:
    """Compare many pairs of columns of the same pictures, each as `paired` does: their intervals share the draws."""
    # Of equal numbers a rounding error may be left, which the test would rank as a difference.
    differences = [np.round(np.asarray(one, np.float64) - np.asarray(other, np.float64), 12) for one, other in pairs]
    intervals = sums_intervals([mean(difference) for difference in differences], groups, strata, seed=seed)
    whole = clusters(groups, strata)
    return [
        _difference(difference, whole.group, interval)
        for difference, interval in zip(differences, intervals, strict=True)
    ]


def _difference(difference: Floats, patients: Indices, interval: tuple[float, float]) -> Difference:
    """From the pictures' differences, (pictures,), and the number of each one's patient."""
    defined = ~np.isnan(difference)
    undefined = int((~defined).sum())
    if not defined.any():
        return Difference(0, undefined)
    values, own = difference[defined], patients[defined]
    counts = np.bincount(own)
    # One number a patient: the test takes its numbers for independent, and two eyes of one patient are not.
    means = np.round(np.bincount(own, values)[counts > 0] / counts[counts > 0], 12)
    p = float(stats.wilcoxon(means).pvalue) if means.any() else 1.0
    return Difference(values.size, undefined, float(values.mean()), *interval, p, means.size, _rank_biserial(means))


def _rank_biserial(values: Floats) -> float:
    ranks = stats.rankdata(np.abs(values[values != 0]))
    return float((np.sign(values[values != 0]) * ranks).sum() / ranks.sum()) if ranks.size else 0.0


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
