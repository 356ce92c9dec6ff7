"""Estimates that follow from sums over pictures: of a table's thousands of bootstrap draws each is a weighted sum.

The sums are sufficient statistics: whatever else the pictures hold, the estimate needs nothing but them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Estimator = Callable[[Floats], Floats]
"""Sums (..., k) to estimates (...)."""


@dataclass(frozen=True, eq=False, slots=True)
class SufficientStatistics:
    """An estimate of any group of pictures, from what each of them adds.

    Attributes:
        parts: (pictures, k), what each picture adds to the k sums; NaN in a row where the picture does not count.
        estimator: Sums (..., k) to estimates (...).
    """

    parts: Floats
    estimator: Estimator

    @property
    def defined(self) -> npt.NDArray[np.bool_]:
        """(pictures,): which count."""
        return np.asarray(~np.isnan(self.parts).any(axis=1), np.bool_)

    def among(self, used: npt.NDArray[np.bool_], pictures: npt.NDArray[np.bool_]) -> "SufficientStatistics":
        """The same of some pictures, (pictures,) bool, among which those that are not used count as undefined."""
        parts = np.where(used[pictures, None], self.parts[pictures], np.nan)
        return SufficientStatistics(parts, self.estimator)

    def of(self, pictures: npt.NDArray[np.bool_]) -> float:
        """The estimate of some pictures, (pictures,) bool; those that are undefined are left out."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(self.estimator(self.parts[pictures & self.defined].sum(axis=0)))


def mean(values: npt.ArrayLike) -> SufficientStatistics:
    """Mean of (pictures,) values: each adds itself and the 1 that it counts.

    >>> mean([0.9, float("nan"), 0.7]).of(np.array([True, True, True]))
    0.8
    """
    numbers = np.asarray(values, np.float64)
    return SufficientStatistics(np.stack([numbers, np.ones_like(numbers)], axis=1), _ratio_of_sums)


def share_above(values: npt.ArrayLike, least: float) -> SufficientStatistics:
    """Share of (pictures,) values above a bound.

    >>> share_above([0.95, 0.9, 0.91, 0.99], 0.9).of(np.ones(4, bool))
    0.75
    """
    numbers = np.asarray(values, np.float64)
    return mean(np.where(np.isnan(numbers), np.nan, numbers > least))


def _ratio_of_sums(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1], np.float64)
