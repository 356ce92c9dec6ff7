"""What is known of one photograph once it is segmented and measured."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box
from fundusseg.inference.failure_signs import FailureSigns
from fundusseg.inference.square import Views, combine
from fundusseg.inference.uncertainty import Verdict
from fundusseg.measures.contours import Points
from fundusseg.measures.cup_disc import Measures
from fundusseg.sample import Eye, Image, Region


@dataclass(frozen=True)
class Prediction:
    """What was found in one photograph.

    Attributes:
        label_map: H x W uint8 at native size: 0 background, 1 rim, 2 cup.
        measures: Cup/disc ratios and sizes; undefined, with the reason, where the photograph is rejected.
        square: The part of the photograph that the network saw.
        how: How that square was found, in words.
        eye: Right (OD) or left (OS), as given or told; None where neither.
        eye_from: How the eye was told, in words.
        eye_seen: The eye that the picture itself shows, whatever is said of it; None where it does not tell.
        spread: Standard deviation of the vertical ratio over views and networks; NaN where there is one view only.
        vertical_cdr_low: Lower end of the vertical ratio's interval; NaN where the bundle is not calibrated for as many
            views, or the areas are smoothed.
        vertical_cdr_high: Upper end.
        vertical_cdr_strict: The vertical ratio as the strictest reader of the bundle would have it; None where its
            readers are not known.
        vertical_cdr_generous: The same of the most generous one.
        verdict: ``accept``, ``review`` or ``reject``; None where no disc is looked for.
        failure_risk: Probability that the outlines are wrong; None where the bundle has no failure detector.
        reasons: Why not ``accept``.
        signs: What the risk rests on; None where no disc is looked for, or none was found.
        views: V x R x S x S probabilities of each network on the square; empty where no network was asked.
        outlines: Of each region, (N, 2) x and y in pixels of the photograph.
    """

    label_map: Image
    measures: Measures
    square: Box
    how: str
    eye: Eye | None = None
    eye_from: str = ""
    eye_seen: Eye | None = None
    spread: float = math.nan
    vertical_cdr_low: float = math.nan
    vertical_cdr_high: float = math.nan
    vertical_cdr_strict: float | None = None
    vertical_cdr_generous: float | None = None
    verdict: Verdict | None = None
    failure_risk: float | None = None
    reasons: tuple[str, ...] = ()
    signs: FailureSigns | None = field(default=None, repr=False)
    views: Views = field(default=(), repr=False)
    outlines: dict[Region, Points] = field(default_factory=dict, repr=False)

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """R x H x W float32 at native size, the mean of networks and views; 0 outside the square."""
        height, width = self.label_map.shape
        inside, probabilities = combine(self.views, self.square, (height, width))
        native = np.zeros((len(probabilities), height, width), np.float32)
        native[:, *inside] = probabilities
        return native
