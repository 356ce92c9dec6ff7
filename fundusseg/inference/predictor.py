"""A photograph to a label map at native size, its measures, and how far to trust them; without a Trainer.

The way of one photograph, from top to bottom of this file::

    photograph -> assess      field_of_view, quality          nothing is asked of a network where the light forbids it
               -> locate      location                        the localiser's disc, if there is a localiser
               -> cut         square                          the part of the photograph that the segmenters see
               -> segment     views                           each network's probabilities, mirrored views turned back
               -> combine     probabilities, label_map        their mean at the photograph's own size
               -> measure     measures, outlines              the numbers of glaucoma work
               -> uncertainty spread, interval                of the vertical cup/disc ratio
               -> triage      verdict, reasons                accept, review or reject
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fundusseg.errors import ConfigurationError
from fundusseg.imaging import quality, roi
from fundusseg.imaging.image_files import as_photograph
from fundusseg.imaging.laterality import eye_from_name
from fundusseg.imaging.quality import Quality
from fundusseg.imaging.roi import Box
from fundusseg.inference.conventions import CONSENSUS, logits_of, lowered, vertical_ratio
from fundusseg.inference.eye_side import eye_seen
from fundusseg.inference.failure_signs import FailureSigns, failure_signs
from fundusseg.inference.localiser import APART, CROP, DiscLocation, locate_disc
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.precision import Precision
from fundusseg.inference.prediction import Prediction
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.inference.segmenter import VIEWS
from fundusseg.inference.square import SegmentedSquare, segmented_square
from fundusseg.inference.uncertainty import WIDE, triage
from fundusseg.measures.cup_disc import Measures, check_scale, measure
from fundusseg.measures.label_map import Smoothing
from fundusseg.models.checkpoint import Description
from fundusseg.runtimes.choices import Runtime
from fundusseg.sample import CUP, DISC, Eye, Image, Region

NOT_LOCALISED = "the localiser found no disc: all of the picture was searched"


@dataclass(frozen=True, eq=False, slots=True)
class Assessed:
    """A photograph before any network has seen it.

    Attributes:
        photograph: H x W x 3 uint8 RGB.
        field_of_view: Its lit part.
        quality: Colour and light; None where no disc is looked for, as any picture will do then.
    """

    photograph: Image
    field_of_view: Box
    quality: Quality | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.photograph.shape[0], self.photograph.shape[1]


class Predictor:
    """Segments photographs; several threads may use one at the same time.

    Args:
        bundle: Localiser, segmenters and calibration.
        views: How many of `segmenter.VIEWS` each photograph is looked at in; None takes as many as the calibration
            did, or one.
        smoothing: Of disc and cup, see `fundusseg.measures.label_map`.
        millimetres_per_pixel: Scale of the photographs; without it no area is given in square millimetres.
        convention: Whose cup is drawn: ``consensus``, a reader of the bundle, or a position from -1 (the strictest
            reader) to 1 (the most generous). The interval is of the consensus alone.

    Raises:
        ConfigurationError: It is given no bundle, there are not so many views, the scale is not above 0, or the bundle
            does not know the convention.
    """

    def __init__(
        self,
        bundle: Bundle,
        views: int | None = None,
        smoothing: Smoothing = "none",
        millimetres_per_pixel: float | None = None,
        convention: str | float = CONSENSUS,
    ) -> None:
        if not isinstance(bundle, Bundle):
            raise ConfigurationError(
                f"{bundle!r:.200} for a predictor",
                "a fundusseg.inference.Bundle",
                "use Predictor.from_checkpoint for a file, or Predictor.pretrained",
            )
        check_scale(millimetres_per_pixel)
        self.bundle, self.smoothing, self.scale = bundle, smoothing, millimetres_per_pixel
        calibration = bundle.calibration
        self.views = views if views is not None else calibration.views if calibration else 1
        if not 1 <= self.views <= len(VIEWS):
            raise ConfigurationError(f"{self.views} views", f"1 to {len(VIEWS)}", "correct --views")
        self.convention, self._cup_logits = convention, logits_of(convention, bundle.conventions)
        # An interval holds for what was calibrated alone.
        as_calibrated = smoothing == "none" and not self._cup_logits
        fits = calibration is not None and self.views == calibration.views and as_calibrated
        self.calibration = calibration if fits else None

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "cpu",
        runtime: Runtime = "torch",
        precision: Precision = "32-true",
        compiled: bool = False,
        **options: Any,
    ) -> "Predictor":
        """Load a checkpoint or a bundle; nothing but the file is needed.

        Args:
            path: The file.
            device: As `Bundle.load` takes it, as are ``runtime``, ``precision`` and ``compiled``.
            runtime: What computes the networks.
            precision: Of the segmenters.
            compiled: Compile segmenters and localiser.
            options: Of the constructor.

        Raises:
            CheckpointError: The file is missing or is not one of ours.
        """
        return cls(Bundle.load(path, device, runtime, precision, compiled), **options)

    @classmethod
    def pretrained(cls, device: str = "cpu", **options: Any) -> "Predictor":
        """Load the bundle that ships with the package; options are those of `from_checkpoint`.

        Raises:
            CheckpointError: It is missing or damaged.
        """
        return cls.from_checkpoint(pretrained_bundle(), device, **options)

    @property
    def description(self) -> Description:
        """Of the first segmenter; all have its regions."""
        return self.bundle.segmenters[0].description

    @property
    def at_once(self) -> int:
        """Photographs that several threads should bring at the same time, so that batches are full."""
        gathered = self.bundle.segmenters[0].gathered
        # Twice as many as fit: the next batch gathers while one is computed.
        return 1 if gathered is None else max(2, 2 * gathered.size // self.views)

    @property
    def thresholds(self) -> dict[Region, float]:
        """Of each region, the mean of the segmenters' own, the cup's as the convention has it."""
        return self._thresholds(self._cup_logits)

    def _thresholds(self, cup_logits: float) -> dict[Region, float]:
        all_of_them = [segmenter.description.thresholds for segmenter in self.bundle.segmenters]
        own = {region: float(np.mean([t[region] for t in all_of_them])) for region in all_of_them[0]}
        return own if not cup_logits else own | {CUP: lowered(own[CUP], cup_logits)}

    def __call__(self, photograph: Any, eye: Eye | None = None, name: str = "", light: float = 1.0) -> Prediction:
        """Segment and measure one photograph.

        Args:
            photograph: H x W x 3 uint8 RGB, or what is read as such without a doubt, see
                `fundusseg.imaging.as_photograph`. Without a localiser, a network trained on disc-centred crops takes
                such a crop.
            eye: Right (OD) or left (OS); where None, it is told by the name or the disc's place, if they say it.
            name: The photograph's file name.
            light: Of a deep file, as `fundusseg.imaging.image_files.read_with_light` gives it.

        Raises:
            ImageError: It is nothing that can be read as a photograph.
        """
        pixels, own_light = as_photograph(photograph)
        assessed = self.assess(pixels, light * own_light)
        if assessed.quality is not None and assessed.quality.faults:
            return _not_searched(assessed, assessed.quality)
        location = self.locate(assessed)
        segmented = self.segment(assessed, location)
        prediction = self.measure(assessed, location, segmented, eye, name)
        return prediction if assessed.quality is None else self.triage(assessed, location, segmented, prediction)

    def assess(self, photograph: Image, light: float = 1.0) -> Assessed:
        """Find the field of view, once for all steps, and judge colour and light in it."""
        field_of_view = roi.field_of_view(photograph)
        looking_for_disc = DISC in self.description.preparation.regions
        judged = quality.assess(photograph, field_of_view, light) if looking_for_disc else None
        return Assessed(photograph, field_of_view, judged)

    def locate(self, assessed: Assessed) -> DiscLocation | None:
        """Ask the localiser for the disc; None where it finds none, or there is no localiser."""
        if self.bundle.localiser is None:
            return None
        return locate_disc(self.bundle.localiser, assessed.photograph, assessed.field_of_view)

    def segment(self, assessed: Assessed, location: DiscLocation | None) -> SegmentedSquare:
        """Cut the square that the segmenters were trained on, and segment it.

        A network of disc-centred crops knows discs of one size in the middle of the square. Where no localiser says
        where that is, it looks twice: once at all of the picture to find the disc, then in all views at the square that
        training would have cut around it. The first look stands where the second finds nothing.
        """
        preparation, photograph = self.description.preparation, assessed.photograph
        centred = preparation.roi == "disc"
        if centred and location is not None:
            return self.segment_square(photograph, location.square(preparation.roi_scale))
        square = preparation.find_box(photograph, assessed.field_of_view)
        if not centred or DISC not in preparation.regions:
            return self.segment_square(photograph, square)
        first = self.segment_square(photograph, square, views=1)
        if not first.has_disc:
            return first
        second = self.segment_square(photograph, roi.disc_box(first.disc, preparation.roi_scale))
        return second if second.has_disc else first

    def segment_square(
        self, photograph: Image, square: Box, views: int | None = None, threshold: float | None = None
    ) -> SegmentedSquare:
        """Segment one given square of a photograph by every network.

        Args:
            photograph: H x W x 3 uint8 RGB.
            square: Where to look.
            views: How many views; None takes the predictor's.
            threshold: One for all regions; None takes the networks' own.
        """
        count = self.views if views is None else views
        seen = []
        for segmenter in self.bundle.segmenters:
            pixels = segmenter.description.preparation.picture(photograph, square)  # S x S x 3
            seen.append(segmenter(pixels[None], count)[:, 0])  # V x 1 x R x S x S, of the one picture
        thresholds = self.thresholds if threshold is None else dict.fromkeys(self.thresholds, threshold)
        shape = photograph.shape[0], photograph.shape[1]
        return segmented_square(square, tuple(seen), shape, thresholds, self.smoothing)

    def measure(
        self, assessed: Assessed, location: DiscLocation | None, segmented: SegmentedSquare, eye: Eye | None, name: str
    ) -> Prediction:
        """Tell the eye, measure the label map, and say how uncertain the vertical ratio is."""
        seen, by = eye_seen(self.bundle.eye, assessed.photograph, assessed.field_of_view, segmented)
        eye, eye_from = (eye, "given") if eye else (eye_from_name(name), "name")
        eye, eye_from = (eye, eye_from) if eye else (seen, by)
        # Nothing lies outside the square, which is a small part of a photograph.
        drawn = segmented.label_map[segmented.inside]
        measures = measure(drawn, segmented.regions, eye=eye, millimetres_per_pixel=self.scale)
        spread = segmented.spread()
        low, high = math.nan, math.nan
        if self.calibration is not None:
            low, high = self.calibration.interval(measures.vertical_cdr, spread)
        strict, generous = self._of_other_readers(segmented, measures.vertical_cdr)
        searched = "all of the picture" if self.bundle.localiser is None else NOT_LOCALISED
        return Prediction(
            segmented.label_map,
            measures,
            segmented.square,
            location.how if location else searched,
            eye,
            eye_from,
            seen,
            spread,
            low,
            high,
            strict,
            generous,
            views=segmented.views,
            outlines=segmented.outlines(),
        )

    def _of_other_readers(self, segmented: SegmentedSquare, ratio: float) -> tuple[float | None, float | None]:
        """The vertical ratio under the strictest and under the most generous convention."""
        if (readers := self.bundle.conventions) is None:
            return None, None
        # On the networks' own pixels, and only the difference: at native size each would cost another label map.
        means, found = [views.mean(axis=0) for views in segmented.views], []
        here = np.mean([vertical_ratio(mean, self.thresholds) for mean in means])
        for logits in (readers.strictest, readers.most_generous):
            there = np.mean([vertical_ratio(mean, self._thresholds(logits)) for mean in means])
            found.append(float(np.clip(ratio + there - here, 0, 1)))
        return found[0], found[1]

    def triage(
        self, assessed: Assessed, location: DiscLocation | None, segmented: SegmentedSquare, prediction: Prediction
    ) -> Prediction:
        """Add the verdict and its reasons; what is rejected keeps no number."""
        signs = self._signs(assessed.photograph, location, segmented, prediction.spread)
        if signs is not None and self.bundle.failure_detector is not None:
            prediction = replace(prediction, failure_risk=self.bundle.failure_detector.risk(signs))
        prediction = replace(prediction, signs=signs)
        faults, flaws = self._doubts(assessed.photograph, location, segmented, prediction)
        verdict, reasons = triage(faults, (*(assessed.quality.flaws if assessed.quality else ()), *flaws))
        # Without a disc the measures are undefined already, and say why.
        if verdict == "reject" and segmented.has_disc:
            nothing, other = math.nan, None if self.bundle.conventions is None else math.nan
            prediction = replace(
                prediction,
                measures=Measures(reason="rejected"),
                vertical_cdr_low=nothing,
                vertical_cdr_high=nothing,
                vertical_cdr_strict=other,
                vertical_cdr_generous=other,
            )
        return replace(prediction, verdict=verdict, reasons=reasons)

    def _signs(
        self, photograph: Image, location: DiscLocation | None, segmented: SegmentedSquare, spread: float
    ) -> FailureSigns | None:
        """What speaks against the outlines; None without a disc."""
        if not segmented.has_disc:
            return None
        sharp = quality.sharpness(photograph, *segmented.disc_circle)
        return failure_signs(segmented, location, self.bundle.localiser is not None, spread, sharp)

    def _doubts(
        self, photograph: Image, location: DiscLocation | None, segmented: SegmentedSquare, prediction: Prediction
    ) -> tuple[list[str], list[str]]:
        """Faults and flaws of what was found, beyond those of colour and light."""
        if prediction.signs is None:
            return ["no disc found"], []
        whole, cut = segmented.disc_circle[2] < CROP * max(photograph.shape[:2]), segmented.disc_touches_edge()
        dark_around = not cut and quality.unlit_surroundings(photograph, segmented.disc) > quality.CUT
        sharp, seen = prediction.signs.sharpness, prediction.eye_seen
        faults = {
            f"not sharp (contrast {sharp:.3f})": sharp < quality.FORMLESS,
            "neither a whole photograph on its dark frame nor a crop around the disc": whole
            and not quality.framed(photograph),
        }
        flaws = {
            f"not sharp (contrast {sharp:.3f})": quality.FORMLESS <= sharp < quality.BLURRED,
            NOT_LOCALISED: self.bundle.localiser is not None and location is None,
            "the disc is cut by the picture's edge": cut,
            "the disc is cut by the field of view's edge": dark_around,
            "no cup found": CUP in segmented.regions and prediction.measures.cup_area == 0,
            f"said to be {prediction.eye}, but the picture shows {seen}": bool(seen) and seen != prediction.eye,
        }
        flaws |= self._failure_flaws(prediction, prediction.signs)
        return [text for text, holds in faults.items() if holds], [text for text, holds in flaws.items() if holds]

    def _failure_flaws(self, prediction: Prediction, signs: FailureSigns) -> dict[str, bool]:
        """What speaks against the outlines: by the risk, or else by fixed limits."""
        if (detector := self.bundle.failure_detector) and (risk := prediction.failure_risk) is not None:
            sign = detector.strongest(signs)
            return {f"the outline may be wrong (risk {risk:.2f}, by {sign})": risk >= detector.cut_off}
        # NaN without a calibration, and then never wider than `WIDE`: no interval is no flaw.
        low, high = prediction.vertical_cdr_low, prediction.vertical_cdr_high
        apart = signs.disc_distance
        return {
            f"localiser and segmenter find different discs ({apart:.2f} diameters apart)": apart > APART,
            f"the vertical ratio is uncertain ({low:.2f} to {high:.2f})": high - low > WIDE,
        }


def _not_searched(assessed: Assessed, judged: Quality) -> Prediction:
    """A photograph that no network is asked about."""
    verdict, reasons = triage(judged.faults, judged.flaws)
    empty, whole = np.zeros(assessed.shape, np.uint8), Box(0, 0, *assessed.shape)
    return Prediction(empty, Measures(reason="rejected"), whole, "not searched", verdict=verdict, reasons=reasons)
