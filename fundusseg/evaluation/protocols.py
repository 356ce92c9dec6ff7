"""How a picture is put before the networks when it is scored: as in use, or as the original evaluation did it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.roi import Box
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.square import Views, combine
from fundusseg.sample import CUP, DISC, Image, Sample

SEED_THRESHOLD = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What the networks found in one picture.

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
        answer: The predictor's answer for a sample; None where this protocol does not apply to it.
        describe: One sentence for a predictor.
    """

    name: str
    answer: Callable[[Predictor, Sample], Answer | None]
    describe: Callable[[Predictor], str]


def _clean(predictor: Predictor, sample: Sample) -> Answer:
    """As `predict` does it: nothing of the truth is used."""
    found = predictor(sample.image, sample.record.eye, sample.record.image.name)
    return Answer(found.label_map, found.square, found.views, found.verdict or "")


def _seed(predictor: Predictor, sample: Sample) -> Answer | None:
    """As Civit-Masot et al. 2019 (doi 10.1109/ACCESS.2019.2944692) scored: the truth itself says where to look."""
    preparation = predictor.description.preparation
    if preparation.roi == "disc" and not sample.of(DISC):
        return None
    found = predictor.segment_square(sample.image, preparation.box(sample), views=1, threshold=SEED_THRESHOLD)
    return Answer(found.label_map, found.square, found.views)


def _describe_clean(predictor: Predictor) -> str:
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
        f"clean: region of interest found automatically ({where}); the checkpoint's own thresholds ({thresholds}), "
        f"fixed before the test; {views}; {judged}{_truth(predictor)}; {_split(predictor)}"
    )


def _describe_seed(predictor: Predictor) -> str:
    preparation = predictor.description.preparation
    crop = f"a square of {preparation.roi_scale:g} diameters around the labelled disc, taken from the truth"
    where = {"field_of_view": "the field of view", "picture": "the whole picture"}.get(preparation.roi, crop)
    parts = "largest connected part, holes filled; " if {DISC, CUP} & set(preparation.regions) else ""
    return (
        f"seed: as in Civit-Masot et al. 2019: {where}; threshold {SEED_THRESHOLD} for all; "
        f"{parts}1 view; {_truth(predictor)}; {_split(predictor)} (the original: by image)"
    )


def _truth(predictor: Predictor) -> str:
    scored = predictor.description.preparation.scored
    rule = "majority (at least half) of the experts" if scored == "majority" else scored
    return f"truth: {rule}; scored at the photograph's own size"


def _split(predictor: Predictor) -> str:
    split = predictor.description.split
    return "not known how the data were split" if split is None else split.protocol


PROTOCOLS: dict[str, Protocol] = {
    "clean": Protocol("clean", _clean, _describe_clean),
    "seed": Protocol("seed", _seed, _describe_seed),
}


def named(names: Sequence[str]) -> list[Protocol]:
    """Protocols by name, each once."""
    return [PROTOCOLS[name] for name in dict.fromkeys(names)]
