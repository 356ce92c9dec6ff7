"""How far to trust a prediction: an interval for the vertical ratio, and one word with its reasons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fundusseg.errors import ConfigurationError

Verdict = Literal["accept", "review", "reject"]

FLOOR = 0.02
"""Spread below which views that agree are not believed to be any surer: about a pixel's worth of the ratio."""

WIDE = 0.25
"""Length of an interval of the vertical ratio beyond which a person should look."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns a spread into an interval that holds the truth as often as it says.

    Attributes:
        factor: Half of the interval's length over ``spread + FLOOR``.
        coverage: Share of photographs whose interval holds the experts' ratio.
        count: Photographs that it was found on.
        views: Views of each photograph then.
    """

    factor: float
    coverage: float
    count: int
    views: int

    def interval(self, ratio: float, spread: float) -> tuple[float, float]:
        """Lower and upper end, 0..1; NaN where the ratio is; all of 0 to 1 where a view found no disc."""
        if not math.isfinite(ratio):
            return math.nan, math.nan
        half = self.factor * (spread + FLOOR) if math.isfinite(spread) else 1.0
        return max(0.0, ratio - half), min(1.0, ratio + half)


def least_photographs(coverage: float) -> int:
    """Photographs that a calibration to this coverage takes at least.

    Raises:
        ConfigurationError: The coverage is no share between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ConfigurationError(f"coverage {coverage}", "a share above 0 and below 1", "give --coverage 0.9")
    # The closed form, begun one lower as rounding may put it off by one; the loop ends it exactly.
    count = max(0, math.floor(coverage / (1 - coverage)) - 1)
    while math.ceil((count + 1) * coverage) > count:
        count += 1
    return count


def calibrate(errors: Sequence[float], spreads: Sequence[float], views: int, coverage: float = 0.9) -> Calibration:
    """Split conformal prediction on validation photographs.

    The factor is the ``ceil((n + 1) coverage)``-th smallest of ``|error| / (spread + FLOOR)``. A new photograph like
    these lies inside with at least that probability (Lei et al., JASA 2018, arXiv 1604.04173, section 5.2). Where
    they also chose the checkpoint and its thresholds, they are a little easier than a new one, and it is a little less.

    Args:
        errors: Predicted less true vertical ratio; pairs with NaN are left out.
        spreads: Standard deviation of the ratio over views and networks.
        views: Views of each photograph.
        coverage: Wanted share, 0..1.

    Raises:
        ConfigurationError: Too few photographs for this coverage, or a coverage out of range.
    """
    needed = least_photographs(coverage)
    scores = np.abs(np.asarray(errors)) / (np.asarray(spreads) + FLOOR)
    scores = np.sort(scores[np.isfinite(scores)])
    rank = math.ceil((len(scores) + 1) * coverage)
    if len(scores) < needed:
        raise ConfigurationError(
            f"{len(scores)} photographs with a known ratio for an interval of {coverage:.0%}",
            f"at least {needed}",
            "calibrate on more validation photographs, or leave --calibrate out",
        )
    return Calibration(float(scores[rank - 1]), coverage, len(scores), views)


def triage(faults: Sequence[str], flaws: Sequence[str]) -> tuple[Verdict, tuple[str, ...]]:
    """One word, and why: any fault rejects, any flaw asks for a person."""
    verdict: Verdict = "reject" if faults else "review" if flaws else "accept"
    return verdict, (*faults, *flaws)
