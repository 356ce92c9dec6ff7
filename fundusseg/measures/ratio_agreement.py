"""How a measured ratio agrees with the true one, over many pictures: Bland-Altman limits, ICC, Pearson's correlation.

All is written in sums over pictures, so that a bootstrap draw is a weighted sum of what each picture adds.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fundusseg.measures.sufficient_statistics import Estimator, Floats, SufficientStatistics

_NAN = float("nan")

_ROUNDING = 1e-12
"""Share of a sum of squares below which a spread is rounding: equal numbers have none."""


@dataclass(frozen=True, slots=True)
class Concordance:
    """Agreement of found with true numbers; NaN where it is undefined.

    Attributes:
        n: Pairs with both numbers.
        mae: Mean absolute error.
        bias: Mean of found minus true.
        sd: Standard deviation of the differences, n - 1 in the divisor.
        low: Lower Bland-Altman limit: bias - 1.96 sd (Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8).
        high: Upper limit: bias + 1.96 sd; 95 % of the differences lie between, where they are normal.
        icc: Intraclass correlation ICC(2,1), two-way random, absolute agreement, one measurement: at most 1
            (Shrout and Fleiss 1979, doi 10.1037/0033-2909.86.2.420).
        pearson: Pearson's correlation, -1..1. It is blind to bias and scale; read it beside the ICC.
    """

    n: int
    mae: float = _NAN
    bias: float = _NAN
    sd: float = _NAN
    low: float = _NAN
    high: float = _NAN
    icc: float = _NAN
    pearson: float = _NAN


class _Sums(NamedTuple):
    """What the pictures add up to; x is found, y is true. Each is (...), one number a bootstrap draw."""

    n: Floats
    x: Floats
    y: Floats
    xx: Floats
    yy: Floats
    xy: Floats
    absolute: Floats

    @classmethod
    def named(cls, columns: Floats) -> "_Sums":
        """From (..., 7), in the order of the fields."""
        return cls(*np.moveaxis(columns, -1, 0))


def concordance(found: npt.ArrayLike, true: npt.ArrayLike) -> Concordance:
    """Error, limits of agreement and correlation of two columns.

    Args:
        found: (pictures,).
        true: (pictures,); pairs with a NaN are left out.

    Returns:
        The agreement. One pair has no spread, and columns without spread have no correlation: NaN.

    A method that reads every ratio 0.1 too high agrees badly and correlates perfectly:

    >>> found = concordance([0.4, 0.5, 0.6, 0.8], [0.3, 0.4, 0.5, 0.7])
    >>> round(found.bias, 3), round(found.icc, 3), round(found.pearson, 3)
    (0.1, 0.854, 1.0)
    """
    estimates = ratio_agreement(found, true)
    defined = estimates["bias"].defined
    bias, low, high = (estimates[name].of(defined) for name in ("bias", "limit_low", "limit_high"))
    mae, icc, pearson = (estimates[name].of(defined) for name in ("mae", "icc", "pearson"))
    return Concordance(int(defined.sum()), mae, bias, (high - low) / (2 * 1.96), low, high, icc, pearson)


def ratio_agreement(found: npt.ArrayLike, true: npt.ArrayLike) -> dict[str, SufficientStatistics]:
    """All of `Concordance` by name, for any group of pictures.

    Args:
        found: (pictures,).
        true: (pictures,).

    Returns:
        ``mae``, ``bias``, ``limit_low``, ``limit_high``, ``icc`` and ``pearson``.
    """
    x, y = np.asarray(found, np.float64), np.asarray(true, np.float64)
    parts = np.stack(_Sums(np.ones_like(x), x, y, x**2, y**2, x * y, np.abs(x - y)), axis=1)
    # Adding 0 spreads a NaN of either number over the whole row: half a pair must not count in the other's sums.
    parts = parts + 0 * (x + y)[:, None]
    estimators: dict[str, Estimator] = {
        "mae": _mae,
        "bias": lambda columns: _bias(_Sums.named(columns)),
        "limit_low": partial(_limit, side=-1.96),
        "limit_high": partial(_limit, side=1.96),
        "icc": _icc,
        "pearson": _pearson,
    }
    return {name: SufficientStatistics(parts, estimator) for name, estimator in estimators.items()}


def _mae(columns: Floats) -> Floats:
    sums = _Sums.named(columns)
    return np.asarray(sums.absolute / sums.n)


def _bias(sums: _Sums) -> Floats:
    return np.asarray((sums.x - sums.y) / sums.n)


def _limit(columns: Floats, side: float) -> Floats:
    """Bias and ``side`` standard deviations of the differences d = x - y: the sum of d^2 is xx + yy - 2 xy."""
    sums = _Sums.named(columns)
    bias, squares = _bias(sums), sums.xx + sums.yy
    spread = squares - 2 * sums.xy - sums.n * bias**2
    spread = np.where(spread > _ROUNDING * squares, spread, 0.0)
    return np.asarray(bias + side * np.sqrt(spread / _freedom(sums.n)))


def _icc(columns: Floats) -> Floats:
    """ICC(2,1) = (MSR - MSE) / (MSR + MSE + 2 (MSC - MSE) / n), Shrout and Fleiss 1979.

    MSR, MSC and MSE are the mean squares between pictures, between the two columns, and of the residual.
    """
    sums = _Sums.named(columns)
    n, mean, squares = sums.n, (sums.x + sums.y) / (2 * sums.n), sums.xx + sums.yy
    total = _unless_rounding(squares, squares - 2 * n * mean**2)
    # A picture's mean is (x + y) / 2, and (x + y)^2 = xx + yy + 2 xy.
    pictures = (squares + 2 * sums.xy) / 2 - 2 * n * mean**2
    column = n * ((sums.x / n - mean) ** 2 + (sums.y / n - mean) ** 2)
    residual, between = (total - pictures - column) / _freedom(n), pictures / _freedom(n)
    # Two columns leave one degree of freedom between them: the mean square is the sum of squares.
    # Without a variance of any kind (two pictures whose values are exchanged) only rounding is left below the line.
    variance = _unless_rounding(squares, between + residual + 2 * (column - residual) / n)
    return np.asarray((between - residual) / variance)


def _pearson(columns: Floats) -> Floats:
    sums = _Sums.named(columns)
    x = _unless_rounding(sums.xx, sums.xx - sums.x**2 / sums.n)
    y = _unless_rounding(sums.yy, sums.yy - sums.y**2 / sums.n)
    return np.asarray((sums.xy - sums.x * sums.y / sums.n) / np.sqrt(x * y))


def _freedom(n: Floats) -> Floats:
    """One number alone has no spread."""
    return np.where(n > 1, n - 1, np.nan)


def _unless_rounding(squares: Floats, spread: Floats) -> Floats:
    """NaN where only rounding is left of a spread: equal numbers have none."""
    return np.where(spread > _ROUNDING * squares, spread, np.nan)
