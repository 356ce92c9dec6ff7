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
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from fundusseg.measures.sufficient_statistics import Estimator, Floats, SufficientStatistics, mean

Indices = npt.NDArray[np.intp]
Counts = npt.NDArray[np.uint16]

FEWEST = 5
"""Patients of sources with several, below whom there is no interval."""

_ROOM = 2**21
"""Numbers that are held at a time: of 100,000 patients, twenty draws."""

_AT_ONCE = 128
"""Estimates whose sums are held at a time."""

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
    sizes = tuple(Counter(names).values())
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
    """Interval of one estimate, see `sums_intervals`."""
    sums = SufficientStatistics(np.asarray(parts, np.float64), estimator)
    (found,) = sums_intervals([sums], groups, strata, macro=macro, resamples=resamples, level=level, seed=seed)
    return found


def sums_intervals(
    estimates: Sequence[SufficientStatistics],
    groups: Sequence[str],
    strata: Sequence[str] | None = None,
    *,
    macro: bool = False,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> list[tuple[float, float]]:
    """Intervals of estimates that follow from sums over pictures, as means do: no draw has to be carried out.

    Estimates of the same pictures share their draws and the pass over them, which of many patients take longest.

    Args:
        estimates: Each of all pictures; a picture with a NaN is left out, and a patient who has nothing else.
        groups: Each picture's patient.
        strata: Each picture's source.
        macro: Of the mean of the sources' estimates, in place of the estimate of all pictures.
        resamples: Draws.
        level: Share of intervals that should hold the true value.
        seed: Of the draws.

    Returns:
        Lower and upper bound of each; NaN with fewer than `FEWEST` patients.
    """
    alike: dict[bytes, list[int]] = {}
    for number, estimate in enumerate(estimates):
        alike.setdefault(estimate.defined.tobytes(), []).append(number)
    found = [NOTHING] * len(estimates)
    for numbers in alike.values():
        defined = np.flatnonzero(estimates[numbers[0]].defined)
        chosen = defined.tolist()
        design = clusters([groups[i] for i in chosen], None if strata is None else [strata[i] for i in chosen])
        if design.drawn < FEWEST:
            continue
        draws = _draws(design.sizes, resamples, seed)
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            drawn = _Drawn(draws, design, macro, [estimates[number].parts[defined] for number in some])
            for place, number in enumerate(some):
                found[number] = _interval(*drawn.of(place, estimates[number].estimator), design, level)
    return found


class _Drawn:
    """Sums of several estimates in every draw, of all groups or of each stratum.

    Args:
        draws: (resamples, groups).
        design: Of the groups.
        macro: Whether of each stratum.
        parts: Of each estimate, (pictures, k).
    """

    def __init__(self, draws: Counts, design: Clusters, macro: bool, parts: Sequence[Floats]) -> None:
        self.ends = np.cumsum([0, *(part.shape[1] for part in parts)]).tolist()
        columns = [column for part in parts for column in part.T]
        # (groups, k): what all pictures of a patient add.
        totals = [np.bincount(design.group, column) for column in columns]
        self.totals: Floats = np.stack(totals, axis=1, dtype=np.float64)
        bounds = np.cumsum([0, *(design.sizes if macro else [sum(design.sizes)])]).tolist()
        self.shares = [slice(*pair) for pair in pairwise(bounds)]
        self.sums = [_drawn_sums(draws[:, share], self.totals[share]) for share in self.shares]

    def of(self, place: int, estimator: Estimator) -> tuple[Floats, float, Floats]:
        """One estimate in all draws, (resamples,), of all pictures, and without each group, (groups,)."""
        own = slice(self.ends[place], self.ends[place + 1])
        totals = self.totals[:, own]
        without = np.zeros(len(totals))
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = np.mean([estimator(sums[:, own]) for sums in self.sums], axis=0)
            sums_of = [totals[share].sum(axis=0) for share in self.shares]
            whole = [float(estimator(sums)) for sums in sums_of]
            for share, sums, value in zip(self.shares, sums_of, whole, strict=True):
                without[share] = sum(whole) - value + estimator(sums - totals[share])
        return drawn, float(np.mean(whole)), without / len(self.shares)


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


def _drawn_sums(draws: npt.NDArray[np.integer[Any]], totals: Floats) -> Floats:
    """What the groups add in each draw, (resamples, k); a few draws at a time."""
    rows = max(1, _ROOM // max(1, len(totals)))
    # Not a matrix product: how that is summed depends on the number of threads. This adds group by group.
    sums = [
        np.einsum("rg,gk->rk", draws[first : first + rows].astype(np.float64), totals)
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
