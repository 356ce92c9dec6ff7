"""How a measured number agrees with the true one, over many pictures."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NAN = float("nan")


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


def concordance(found: npt.ArrayLike, true: npt.ArrayLike) -> Concordance:
    """Error, limits of agreement and correlation of two columns.

    Args:
        found: (pictures,).
        true: (pictures,); pairs with a NaN are left out.

    Returns:
        The agreement. One pair has no spread, and columns without spread have no correlation: NaN.
    """
    one, other = np.asarray(found, np.float64), np.asarray(true, np.float64)
    defined = ~(np.isnan(one) | np.isnan(other))
    one, other = one[defined], other[defined]
    if one.size == 0:
        return Concordance(0)
    difference = one - other
    mae, bias = float(np.abs(difference).mean()), float(difference.mean())
    if one.size == 1:
        return Concordance(1, mae, bias)
    sd = float(difference.std(ddof=1))
    limits = bias - 1.96 * sd, bias + 1.96 * sd
    return Concordance(one.size, mae, bias, sd, *limits, _icc(np.stack([one, other])), _pearson(one, other))


def _icc(pairs: npt.NDArray[np.float64]) -> float:
    """(MSR - MSE) / (MSR + MSE + 2 (MSC - MSE) / n), mean squares of pictures, residuals and the two columns."""
    n = pairs.shape[1]
    if np.ptp(pairs) == 0:
        return _NAN
    mean, columns, pictures = pairs.mean(), pairs.mean(1, keepdims=True), pairs.mean(0)
    between = 2 * float(np.square(pictures - mean).sum()) / (n - 1)
    column = n * float(np.square(columns - mean).sum())
    residual = float(np.square(pairs - columns - pictures + mean).sum()) / (n - 1)
    whole = between + residual + 2 * (column - residual) / n
    return (between - residual) / whole if whole else _NAN


def _pearson(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return _NAN
    return float(np.corrcoef(one, other)[0, 1])
