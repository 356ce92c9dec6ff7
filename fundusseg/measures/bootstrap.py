"""How sure an estimate is: bootstrap intervals over patients.

Pictures of one patient are alike, so whole patients are drawn, with replacement, and within each source, whose number
of patients is part of the design. The interval is bias-corrected and accelerated (BCa; Efron 1987, doi
10.1080/01621459.1987.10478410), the acceleration by leaving out one patient at a time. For few patients it is widened
as Student's t is (Hesterberg 2015, doi 10.1080/00031305.2015.1089789): the bootstrap alone covers too seldom.

No interval knows of failures that its pictures do not show. In simulations of 1000 studies each, 95 % intervals held
the true mean in 94 to 96 of 100 from 20 patients up, for values spread as Dice is; with 5 patients in 88. With 4 it was
84, with 3 71, with 2 45, as no draw reaches beyond their range: fewer than 5 have no interval. Where one picture in 20
fails altogether, they held it in 70 of 100 studies of 20 patients, 86 of 40, and 94 of 100.

All is drawn from the seed: the same pictures give the same interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from fundusseg.measures.sufficient_statistics import Estimator, Floats, mean

Indices = npt.NDArray[np.intp]
Counts = npt.NDArray[np.uint16]

FEWEST = 5
"""Patients of sources with several, below whom there is no interval."""

_ROOM = 2**21
"""Numbers that are held at a time: of 100,000 patients, twenty draws."""

NOTHING = (math.nan, math.nan)
"""The interval of what has none."""


@dataclass(frozen=True)
class Clusters:
    """Which pictures are drawn together, and which groups among each other.

    Attributes:
        group: Each picture's group, numbered by stratum, then by name.
        sizes: Groups in each stratum.
    """

    group: Indices
    sizes: tuple[int, ...]

    @property
    def stratum(self) -> Indices:
        """Each group's stratum."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def drawn(self) -> int:
        """Groups that stand with others in their stratum, so that chance decides which are drawn."""
        return sum(size for size in self.sizes if size > 1)


def clusters(groups: Sequence[str], strata: Sequence[str] | None = None) -> Clusters:
    """Number groups and strata.

    Args:
        groups: Each picture's patient; one name in two strata is two patients.
        strata: Each picture's source; without, all are one.
    """
    # Sorted, so that the groups of a stratum stand together and the order of the pictures decides nothing.
    pairs = list(zip([""] * len(groups) if strata is None else strata, groups, strict=True))
    number = {pair: position for position, pair in enumerate(sorted(set(pairs)))}
    names = [stratum for stratum, _ in number]
    sizes = tuple(names.count(name) for name in dict.fromkeys(names))
    return Clusters(np.array([number[pair] for pair in pairs], dtype=np.intp), sizes)


def mean_interval(
    values: npt.ArrayLike,
    groups: Sequence[str],
    strata: Sequence[str] | None = None,
    *,
    macro: bool = False,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of the mean over all pictures, or of the mean of the sources' means.

    Args:
        values: (pictures,); NaN is left out, and a patient who has nothing else.
        groups: Each picture's patient.
        strata: Each picture's source.
        macro: Of the mean of the sources' means; a source that has nothing but NaN is left out.
        resamples: Draws.
        level: Share of intervals that should hold the true mean.
        seed: Of the draws.

    Returns:
        Lower and upper bound; NaN with fewer than `FEWEST` patients.

    Two eyes of a patient are no two patients: the interval of the same numbers is wider.

    >>> dice = [0.91, 0.93, 0.85, 0.86, 0.95, 0.94, 0.78, 0.80, 0.90, 0.89, 0.88, 0.90]
    >>> low, high = mean_interval(dice, [f"eye {number}" for number in range(12)])
    >>> round(low, 3), round(high, 3)
    (0.845, 0.912)
    >>> low, high = mean_interval(dice, [f"patient {number // 2}" for number in range(12)])
    >>> round(low, 3), round(high, 3)
    (0.812, 0.923)
    """
    sums = mean(values)
    return sums_interval(
        sums.parts, sums.estimator, groups, strata, macro=macro, resamples=resamples, level=level, seed=seed
    )


def sums_interval(
    parts: npt.ArrayLike,
    estimator: Estimator,
    groups: Sequence[str],
    strata: Sequence[str] | None = None,
    *,
    macro: bool = False,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of an estimate that follows from sums over pictures, as means do: no draw has to be carried out.

    Args:
        parts: (pictures, k), what each picture adds; one with a NaN is left out, and a patient who has nothing else.
        estimator: Sums (..., k) to estimates (...), see `SufficientStatistics`.
        groups: Each picture's patient.
        strata: Each picture's source.
        macro: Of the mean of the sources' estimates, in place of the estimate of all pictures.
        resamples: Draws.
        level: Share of intervals that should hold the true value.
        seed: Of the draws.

    Returns:
        Lower and upper bound; NaN with fewer than `FEWEST` patients.
    """
    numbers = np.asarray(parts, np.float64)
    defined = np.flatnonzero(~np.isnan(numbers).any(axis=1)).tolist()
    design = clusters([groups[i] for i in defined], None if strata is None else [strata[i] for i in defined])
    if design.drawn < FEWEST:
        return NOTHING
    # (patients, k): what all pictures of a patient add.
    totals = np.zeros((sum(design.sizes), numbers.shape[1]))
    np.add.at(totals, design.group, numbers[defined])
    strata_of = [design.stratum == stratum for stratum in range(len(design.sizes))]
    shares = strata_of if macro else [np.ones(len(totals), np.bool_)]
    draws = _draws(design.sizes, resamples, seed)
    without = np.zeros(len(totals))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.mean([estimator(_drawn_sums(draws, totals, part)) for part in shares], axis=0)
        whole = [float(estimator(totals[part].sum(axis=0))) for part in shares]
        for part, own in zip(shares, whole, strict=True):
            without[part] = sum(whole) - own + estimator(totals[part].sum(axis=0) - totals[part])
    return _interval(drawn, float(np.mean(whole)), without / len(shares), design, level)


@lru_cache(maxsize=2)
def _draws(sizes: tuple[int, ...], resamples: int, seed: int) -> Counts:
    """How often each group is drawn: (resamples, groups), each stratum as many as it has."""
    generator = np.random.default_rng(seed)
    draws = np.zeros((resamples, sum(sizes)), np.uint16)
    start = 0
    for size in sizes:
        rows = max(1, _ROOM // size)
        for first in range(0, resamples, rows):
            count = min(rows, resamples - first)
            # Each row gets numbers of its own, size * row and up, so that one count serves all of them.
            drawn = generator.integers(0, size, (count, size)) + size * np.arange(count)[:, None]
            often = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
            draws[first : first + count, start : start + size] = often
        start += size
    draws.flags.writeable = False
    return draws


def _drawn_sums(draws: Counts, totals: Floats, part: npt.NDArray[np.bool_]) -> Floats:
    """What the chosen groups add in each draw, (resamples, k); a few draws at a time."""
    chosen, added = np.flatnonzero(part), totals[part]
    rows = max(1, _ROOM // max(1, len(chosen)))
    # Not a matrix product: how that is summed depends on the number of threads.
    sums = [
        np.einsum("rg,gk->rk", draws[first : first + rows][:, chosen].astype(np.float64), added)
        for first in range(0, len(draws), rows)
    ]
    return np.concatenate(sums)


def _interval(drawn: Floats, observed: float, without: Floats, design: Clusters, level: float) -> tuple[float, float]:
    """From the estimates of all draws, (resamples,), of all pictures, and of all but one group's, (groups,).

    The normal quantile z of the BCa interval is replaced by sqrt(n / (n - s)) t(n - s), for n groups in s strata, as in
    Hesterberg's expanded percentile interval (2015, doi 10.1080/00031305.2015.1089789): draws of n have a variance that
    is (n - 1) / n too small, and few groups do not know their own spread.
    """
    drawn = drawn[~np.isnan(drawn)]
    if drawn.size == 0 or math.isnan(observed):
        return NOTHING
    several = [size for size in design.sizes if size > 1]
    freedom = sum(several) - len(several)  # each stratum's own mean takes one
    z = math.sqrt(sum(several) / freedom) * float(stats.t.ppf((1 + level) / 2, freedom))
    shares = _bca_shares(drawn, observed, _acceleration(without, design), z)
    low, high = np.percentile(drawn, [100 * share for share in shares])
    return float(low), float(high)


def _bca_shares(drawn: Floats, observed: float, acceleration: float, z: float) -> tuple[float, float]:
    """Which quantiles of the draws bound the interval: Phi(z0 + (z0 +- z) / (1 - a (z0 +- z)))."""
    below = ((drawn < observed).mean() + (drawn <= observed).mean()) / 2
    # An estimate that no draw falls below would push both bounds to infinity.
    below = min(max(below, 0.5 / drawn.size), 1 - 0.5 / drawn.size)
    bias = float(special.ndtri(below))
    low, high = (float(special.ndtr(bias + (bias + side) / (1 - acceleration * (bias + side)))) for side in (-z, z))
    return low, high


def _acceleration(without: Floats, design: Clusters) -> float:
    """Sixth of the skewness of the estimate's influence values, over all strata; 0 where a group cannot be left out."""
    cubes = squares = 0.0
    for stratum, size in enumerate(design.sizes):
        estimates = without[design.stratum == stratum]
        if size > 1 and not np.isnan(estimates).any():
            influence = (size - 1) * (estimates.mean() - estimates) / size
            cubes += float((influence**3).sum())
            squares += float((influence**2).sum())
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0
