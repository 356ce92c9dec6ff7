"""Whether a probability of 0.8 is right in 80 of 100 pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.measures.region_metrics import same_size
from fundusseg.measures.sufficient_statistics import SufficientStatistics

BINS = 15
"""Bins of equal width, as in Guo 2017."""

_SHIFT = 24
_UNIT = 2**_SHIFT
"""Probabilities are summed as whole multiples of 1 / 2**24: as fine as float32, and the same in any order."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Pixels counted by their probability; of fixed size, so that whole datasets add up.

    Attributes:
        count: (15,) int64, pixels with a probability in this bin.
        true: (15,) int64, those of them that are true.
        units: (15,) int64, the sum of their probabilities in units of 2**-24.
    """

    count: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64]

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> "Reliability":
        """Count one region of one picture.

        Args:
            probabilities: H x W, 0..1.
            truth: H x W bool.

        Raises:
            ImageError: They differ in size.
        """
        same_size(probabilities, truth)
        # Whole numbers add up to the same in any order, on any number of threads; floats do not.
        units = np.rint(probabilities.ravel() * np.float32(_UNIT)).astype(np.int64)
        bins = np.minimum(units * BINS >> _SHIFT, BINS - 1)
        pixels = np.bincount(bins + BINS * truth.ravel(), minlength=2 * BINS).reshape(2, BINS).astype(np.int64)
        sums = np.bincount(bins, units, BINS)  # whole numbers below 2**53: exact as floats
        return cls(pixels.sum(0), pixels[1], sums.astype(np.int64))

    @classmethod
    def empty(cls) -> "Reliability":
        """Of no pixel: what a sum starts from."""
        return cls(*np.zeros((3, BINS), np.int64))

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(self.count + other.count, self.true + other.true, self.units + other.units)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reliability) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("count", "true", "units")
        )

    @property
    def excess(self) -> npt.NDArray[np.float64]:
        """(15,): the sum of each bin's probabilities less its true pixels; 0 where the network is calibrated."""
        return np.asarray(self.units / _UNIT - self.true, np.float64)

    def curve(self) -> list[tuple[float, float, int]]:
        """Mean probability, share true and pixels of each bin, from 0 up; NaN, NaN, 0 for an empty one."""
        with np.errstate(invalid="ignore"):
            probability, share = self.units / _UNIT / self.count, self.true / self.count
        return list(zip(probability.tolist(), share.tolist(), self.count.tolist(), strict=True))


def expected_calibration_error(pictures: Sequence[Reliability | None]) -> SufficientStatistics:
    """Expected calibration error: the mean over pixels of |mean probability - share true| of their bin.

    Naeini 2015 (doi 10.1609/aaai.v29i1.9602), Guo 2017 (arXiv 1706.04599). 0..1; NaN without a pixel. Background far
    from the region is nearly always right, so the area that is counted sets the scale: compare like with like.

    Args:
        pictures: Each picture's counts, which are added up before the error is taken; None for a picture without
            probabilities.

    Of four pixels called 0.75 true, two are: the network is a quarter too sure.

    >>> sure = Reliability.of(np.full((2, 2), 0.75, np.float32), np.array([[True, True], [False, False]]))
    >>> expected_calibration_error([sure]).of(np.array([True]))
    0.25
    """
    # The first 15 columns are each bin's excess, the last one the pixels that are divided by.
    parts = np.full((len(pictures), BINS + 1), np.nan)
    for row, counted in zip(parts, pictures, strict=True):
        if counted is not None:
            row[:BINS], row[BINS] = counted.excess, counted.count.sum()
    return SufficientStatistics(parts, lambda sums: np.asarray(np.abs(sums[..., :BINS]).sum(axis=-1) / sums[..., BINS]))
