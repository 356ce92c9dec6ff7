"""Figures that follow from sums over pictures: means, shares, agreement of ratios, calibration.

So a table's thousands of bootstrap draws are sums with weights. The formulas' own homes are `concordance` and
`reliability`; here they are written in sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fundusseg.measures.calibration_error import BINS, Reliability

Floats = npt.NDArray[np.float64]
Figure = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False, slots=True)
class Sums:
    """A figure of a group of pictures.

    Attributes:
        parts: (pictures, k), what each picture adds; NaN where it is undefined.
        figure: Sums (..., k) to figures (...).
    """

    parts: Floats
    figure: Figure

    @property
    def defined(self) -> npt.NDArray[np.bool_]:
        """(pictures,): which count."""
        return np.asarray(~np.isnan(self.parts).any(axis=1), np.bool_)

    def of(self, pictures: npt.NDArray[np.bool_]) -> float:
        """The figure of some pictures, those that are undefined left out."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(self.figure(self.parts[pictures & self.defined].sum(axis=0)))


def mean(values: npt.ArrayLike) -> Sums:
    """Mean of (pictures,) values."""
    numbers = np.asarray(values, np.float64)
    return Sums(
        np.stack([numbers, np.ones_like(numbers)], axis=1), lambda sums: np.asarray(sums[..., 0] / sums[..., 1])
    )


def share_above(values: npt.ArrayLike, least: float) -> Sums:
    """Share of (pictures,) values above a bound."""
    numbers = np.asarray(values, np.float64)
    return mean(np.where(np.isnan(numbers), np.nan, numbers > least))


def agreement(found: npt.ArrayLike, true: npt.ArrayLike) -> dict[str, Sums]:
    """All of `concordance.Concordance` by name: ``mae``, ``bias``, ``limit_low``, ``limit_high``, ``icc``, ``pearson``.

    Args:
        found: (pictures,).
        true: (pictures,).
    """
    one, other = np.asarray(found, np.float64), np.asarray(true, np.float64)
    parts = (
        np.stack([np.ones_like(one), one, other, one**2, other**2, one * other, np.abs(one - other)], axis=1)
        + 0 * (one + other)[:, None]
    )
    figures: dict[str, Figure] = {
        "mae": lambda sums: np.asarray(sums[..., 6] / sums[..., 0]),
        "bias": _bias,
        "limit_low": partial(_limit, side=-1.96),
        "limit_high": partial(_limit, side=1.96),
        "icc": _icc,
        "pearson": _pearson,
    }
    return {name: Sums(parts, figure) for name, figure in figures.items()}


def calibration_error(pictures: Sequence[Reliability | None]) -> Sums:
    """Expected calibration error of all pixels together; None for a picture without probabilities."""
    parts = np.full((len(pictures), BINS + 1), np.nan)
    for row, counted in zip(parts, pictures, strict=True):
        if counted is not None:
            row[:BINS], row[BINS] = counted.excess, counted.count.sum()
    return Sums(parts, lambda sums: np.asarray(np.abs(sums[..., :BINS]).sum(axis=-1) / sums[..., BINS]))


def _bias(sums: Floats) -> Floats:
    return np.asarray((sums[..., 1] - sums[..., 2]) / sums[..., 0])


def _limit(sums: Floats, side: float) -> Floats:
    """Bias and ``side`` standard deviations of the differences."""
    n, bias = sums[..., 0], _bias(sums)
    squares = sums[..., 3] + sums[..., 4] - 2 * sums[..., 5]
    return np.asarray(bias + side * np.sqrt(np.maximum(squares - n * bias**2, 0) / _freedom(n)))


def _icc(sums: Floats) -> Floats:
    """ICC(2,1), see `concordance.Concordance`."""
    n, one, other = (sums[..., position] for position in range(3))
    mean, squares = (one + other) / (2 * n), sums[..., 3] + sums[..., 4]
    whole = _spread(squares, squares - 2 * n * mean**2)
    pictures = (squares + 2 * sums[..., 5]) / 2 - 2 * n * mean**2
    column = n * ((one / n - mean) ** 2 + (other / n - mean) ** 2)
    residual, between = (whole - pictures - column) / _freedom(n), pictures / _freedom(n)
    return np.asarray((between - residual) / (between + residual + 2 * (column - residual) / n))


def _pearson(sums: Floats) -> Floats:
    n, one, other = (sums[..., position] for position in range(3))
    spreads = [_spread(square, square - total**2 / n) for square, total in ((sums[..., 3], one), (sums[..., 4], other))]
    return np.asarray((sums[..., 5] - one * other / n) / np.sqrt(spreads[0] * spreads[1]))


def _freedom(n: Floats) -> Floats:
    """One number alone has no spread."""
    return np.where(n > 1, n - 1, np.nan)


def _spread(squares: Floats, spread: Floats) -> Floats:
    """NaN where only rounding is left of a spread: equal numbers have none."""
    return np.where(spread > 1e-12 * squares, spread, np.nan)
