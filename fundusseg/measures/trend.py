"""Change of one eye over its visits: the Theil-Sen slope, with an interval from the measurement's own error."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

_DRAWS = 20_000
"""Simulated series for an interval: its 95 % is known to 0.15 %."""

_SCATTERED = 0.01
"""Probability of the residuals below which visits scatter more than the measurement's error explains."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Change over time.

    Attributes:
        slope: Per year.
        low: Lower end of its interval.
        high: Upper end.
        years: Between the first and the last visit.
        visits: How many.
        scattered: Whether the visits scatter about the line more than the measurement's error explains; the interval
            is then that of their own scatter.
    """

    slope: float
    low: float
    high: float
    years: float
    visits: int
    scattered: bool = False

    @property
    def changed(self) -> bool:
        """Whether no change lies outside the interval."""
        return self.low > 0 or self.high < 0

    @property
    def total(self) -> tuple[float, float, float]:
        """Change from the first visit to the last, with its interval."""
        return self.slope * self.years, self.low * self.years, self.high * self.years


def trend(
    years: npt.NDArray[np.float64], values: npt.NDArray[np.float64], sd: float, coverage: float = 0.95
) -> Trend | None:
    """The change per year of one eye's measure.

    Theil-Sen (Sen 1968, doi 10.1080/01621459.1968.10480934), the median slope of all pairs of visits: one outline
    that went wrong among four visits or more does not make a change. Its usual interval counts ranks and cannot leave
    out 0 with fewer than five visits; here it is the estimator's own error on unchanged eyes of these dates, simulated
    with the measure's within-eye standard deviation, so that two visits have an interval too. No mixed model: each eye
    is judged by itself, and no other eye of the list draws its slope towards the mean.

    Args:
        years: Of each visit, on any origin.
        values: The measure; visits with NaN are left out.
        sd: The measure's within-eye standard deviation, see `fundusseg.measures.repeatability`.
        coverage: Of the interval.

    Returns:
        The trend; None where fewer than two different dates are measured.

    >>> found = trend(np.array([0.0, 1.0, 2.0]), np.array([0.4, 0.5, 0.6]), 0.02)
    >>> round(found.slope, 3), found.changed
    (0.1, True)
    """
    known = np.isfinite(values) & np.isfinite(years)
    years, values = years[known], values[known]
    span = float(np.ptp(years)) if len(years) else 0.0
    if not span > 0:
        return None
    places = (years - years.min()) / span
    slope = float(_slopes(places, values[None])[0])
    residuals = values - slope * places
    spread = float(np.square(residuals - residuals.mean()).sum())
    freedom = len(values) - 2
    scattered = freedom > 0 and float(chdtrc(freedom, spread / sd**2)) < _SCATTERED
    if scattered:
        sd = (spread / freedom) ** 0.5
    half = sd * _half_length(tuple(np.round(np.sort(places), 6).tolist()), coverage)
    return Trend(slope / span, (slope - half) / span, (slope + half) / span, span, len(values), scattered)


def _slopes(places: npt.NDArray[np.float64], series: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median pairwise slope of each of (N, visits) series; pairs of one date have none."""
    pairs = np.array([(i, j) for i, j in combinations(range(len(places)), 2) if places[i] != places[j]])
    first, second = pairs.T
    slopes = (series[:, second] - series[:, first]) / (places[second] - places[first])
    return np.asarray(np.median(slopes, axis=1))


@lru_cache(4096)
def _half_length(places: tuple[float, ...], coverage: float) -> float:
    """Half of the interval of a slope over the whole span, for errors of standard deviation 1."""
    # Visits of two days must not fall together here: of a day in decades six places of `places` keep both.
    # The more visits, the more pairs; always the same seed, so that the same visits give the same interval.
    draws = max(2_000, _DRAWS * 10 // max(10, len(places) ** 2))
    noise = np.random.default_rng(0).standard_normal((draws, len(places)))
    return float(np.quantile(np.abs(_slopes(np.array(places), noise)), coverage))
