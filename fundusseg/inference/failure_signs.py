"""Signs that an outline is wrong, as numbers that need no ground truth; the larger, the worse.

What they are worth decides `fundusseg.inference.failure_detection`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from fundusseg.inference.localiser import DiscLocation
from fundusseg.inference.square import SegmentedSquare
from fundusseg.sample import CUP, DISC, Region

_Sign = Callable[[npt.NDArray[np.float32], float], float]
"""Of V x S x S views of one region, and its threshold."""


@dataclass(frozen=True, slots=True)
class FailureSigns:
    """Signs of one photograph; NaN where one cannot be had: no localiser, no cup among the regions, one view.

    Attributes:
        localiser_doubt: 1 less the localiser's highest probability.
        disc_distance: How far localiser's and segmenter's disc are apart, in diameters.
        disc_vagueness: 1 less the Dice that the probabilities themselves expect of the disc.
        cup_vagueness: Likewise of the cup.
        disc_disagreement: 1 less the mean Dice of each view's disc and that of all views together.
        cup_disagreement: Likewise of the cup.
        ratio_spread: Standard deviation of the vertical ratio over the views.
        blur: ``1 / (1 + 20 sharpness)``, see `fundusseg.imaging.quality.sharpness`: 0.5 where it is sharp.
    """

    localiser_doubt: float = math.nan
    disc_distance: float = math.nan
    disc_vagueness: float = math.nan
    cup_vagueness: float = math.nan
    disc_disagreement: float = math.nan
    cup_disagreement: float = math.nan
    ratio_spread: float = math.nan
    blur: float = math.nan

    @property
    def sharpness(self) -> float:
        """Contrast of fine structures around the disc."""
        return (1 / self.blur - 1) / 20

    def values(self) -> npt.NDArray[np.float64]:
        """In the order of `SIGNS`."""
        return np.array([getattr(self, name) for name in SIGNS], np.float64)


SIGNS: tuple[str, ...] = tuple(field.name for field in fields(FailureSigns))
"""Names of the signs, in their order."""


def failure_signs(
    segmented: SegmentedSquare, location: DiscLocation | None, localised: bool, spread: float, sharpness: float
) -> FailureSigns:
    """Read the signs off what the networks said of one photograph.

    Args:
        segmented: What the segmenters said; with a disc.
        location: What the localiser said; None where it found nothing.
        localised: Whether a localiser was asked.
        spread: Standard deviation of the vertical ratio.
        sharpness: Around the disc.
    """
    doubt = distance = math.nan
    if localised:
        doubt = 1.0 if location is None else 1 - location.peak
        distance = math.nan if location is None else location.apart(*segmented.disc_circle)
    vagueness = {region: _mean(_vagueness, segmented, region) for region in (DISC, CUP)}
    apart = {region: _mean(_disagreement, segmented, region) for region in (DISC, CUP)}
    return FailureSigns(
        doubt, distance, vagueness[DISC], vagueness[CUP], apart[DISC], apart[CUP], spread, 1 / (1 + 20 * sharpness)
    )


def _mean(sign: _Sign, segmented: SegmentedSquare, region: Region) -> float:
    """Mean of a sign over the networks; NaN without the region."""
    if region not in segmented.regions:
        return math.nan
    channel, threshold = segmented.regions.index(region), segmented.thresholds[region]
    return float(np.mean([sign(views[:, channel], threshold) for views in segmented.views]))


def _vagueness(views: npt.NDArray[np.float32], threshold: float) -> float:
    """1 less ``2 sum(p m) / (sum(p) + sum(m))`` of the mean probability p and its mask m (V x S x S views)."""
    mean = views.mean(axis=0)
    mask = mean > threshold
    total = float(mean.sum() + mask.sum())
    return 1 - 2 * float(mean[mask].sum()) / total if mask.any() else 1.0


def _disagreement(views: npt.NDArray[np.float32], threshold: float) -> float:
    """1 less the mean Dice of each view's mask and the mean view's; NaN for one view."""
    if len(views) < 2:
        return math.nan
    together = views.mean(axis=0) > threshold
    masks = views > threshold
    sizes = masks.sum(axis=(1, 2)) + together.sum()
    if not sizes.all():  # neither has any: where all views agree that there is none, none disagrees
        return 0.0
    return float(1 - np.mean(2 * (masks & together).sum(axis=(1, 2)) / sizes))
