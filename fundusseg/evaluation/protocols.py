"""Evaluation protocols: where the region of interest (ROI) of a scored picture comes from, and which thresholds hold.

`automatic_roi` scores what a user gets; `ground_truth_roi` repeats the original evaluation of Civit-Masot et al. 2019,
so that the difference between the two rows is what the protocol alone is worth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.square import Views, combine
from fundusseg.reports.metric_names import AUTOMATIC_ROI, GROUND_TRUTH_ROI, OLD_PROTOCOL_NAMES
from fundusseg.sample import CUP, DISC, Image, Sample

ORIGINAL_THRESHOLD = 0.5
"""Probability above which the original evaluation calls a pixel disc or cup."""


@dataclass(frozen=True, eq=False, slots=True)
class ProtocolPrediction:
    """What the networks predicted for one picture under a protocol.

    Attributes:
        labels: H x W uint8 label map at native size.
        square: The part of the picture that was looked at.
        views: V x R x S x S probabilities of each network on it; empty where no network was asked.
        verdict: ``accept``, ``review``, ``reject``, or empty.
    """

    labels: Image
    square: Box
    views: Views
    verdict: str = ""

    def probabilities(self) -> tuple[tuple[slice, slice], npt.NDArray[np.float32]] | None:
        """Rows and columns of the square, and R x rows x columns there at native size; None if no network was asked."""
        height, width = self.labels.shape
        return combine(self.views, self.square, (height, width)) if self.views else None


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to score.

    Attributes:
        name: In every output.
        predict: The predictor's prediction for a sample; None where this protocol does not apply to it.
        describe: One sentence for a predictor.
    """

    name: str
    predict: Callable[[Predictor, Sample], ProtocolPrediction | None]
    describe: Callable[[Predictor], str]


def _automatic_roi(predictor: Predictor, sample: Sample) -> ProtocolPrediction:
    """End to end, as `fundusseg.predict` does it: no ground truth is used."""
    found = predictor(sample.image, sample.record.eye, sample.record.image.name)
    return ProtocolPrediction(found.label_map, found.square, found.views, found.verdict or "")


def _ground_truth_roi(predictor: Predictor, sample: Sample) -> ProtocolPrediction | None:
    """As Civit-Masot et al. 2019 (doi 10.1109/ACCESS.2019.2944692) scored: the ground truth says where to look."""
    preparation = predictor.description.preparation
    if preparation.roi == "disc" and not sample.of(DISC):
        return None
    # One view, as the original looked once; without localiser, quality or triage, which use the picture alone.
    found = predictor.segment_square(sample.image, preparation.box(sample), views=1, threshold=ORIGINAL_THRESHOLD)
    return ProtocolPrediction(found.label_map, found.square, found.views)


def _describe_automatic_roi(predictor: Predictor) -> str:
    preparation, bundle = predictor.description.preparation, predictor.bundle
    where = {"field_of_view": "the field of view", "picture": "the whole picture"}.get(preparation.roi)
    if preparation.roi == "disc":
        around = f"{preparation.roi_scale:g} diameters around"
        alone = f"no localiser, the whole picture, then {around} the disc found there"
        where = f"{around} the localiser's disc" if bundle.localiser else alone
    thresholds = ", ".join(f"{region} {value:.2f}" for region, value in predictor.thresholds.items())
    views = f"{predictor.views} view{'s' if predictor.views > 1 else ''}"
    judged = "photographs judged unfit count too; " if DISC in preparation.regions else ""
    return (
        f"{AUTOMATIC_ROI}: region of interest found automatically ({where}); the checkpoint's own thresholds "
        f"({thresholds}), fixed before the test; {views}; {judged}{_truth(predictor)}; {_split(predictor)}"
    )


def _describe_ground_truth_roi(predictor: Predictor) -> str:
    preparation = predictor.description.preparation
    crop = f"a square of {preparation.roi_scale:g} diameters around the labelled disc, taken from the ground truth"
    where = {"field_of_view": "the field of view", "picture": "the whole picture"}.get(preparation.roi, crop)
    parts = "largest connected part, holes filled; " if {DISC, CUP} & set(preparation.regions) else ""
    return (
        f"{GROUND_TRUTH_ROI}: as in Civit-Masot et al. 2019: {where}; threshold {ORIGINAL_THRESHOLD} for all; "
        f"{parts}1 view; {_truth(predictor)}; {_split(predictor)} (the original: by image)"
    )


def _truth(predictor: Predictor) -> str:
    scored = predictor.description.preparation.scored
    rule = "majority (at least half) of the experts" if scored == "majority" else scored
    return f"ground truth: {rule}; scored at the photograph's own size"


def _split(predictor: Predictor) -> str:
    split = predictor.description.split
    return "not known how the data were split" if split is None else split.protocol


PROTOCOLS = {
    AUTOMATIC_ROI: Protocol(AUTOMATIC_ROI, _automatic_roi, _describe_automatic_roi),
    GROUND_TRUTH_ROI: Protocol(GROUND_TRUTH_ROI, _ground_truth_roi, _describe_ground_truth_roi),
}


def select_protocols(names: Sequence[str]) -> list[Protocol]:
    """Protocols by today's or an old name, each once."""
    return [PROTOCOLS[name] for name in dict.fromkeys(OLD_PROTOCOL_NAMES.get(name, name) for name in names)]
