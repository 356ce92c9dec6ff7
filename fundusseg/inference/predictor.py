"""A photograph to a label map at native size, its measures, and how far to trust them; without a Trainer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.imaging.laterality import infer_eye
from fundusseg.imaging.quality import BLURRED, CUT, FORMLESS, Quality, assess, framed, sharpness, unlit_surroundings
from fundusseg.imaging.roi import Box, field_of_view, restore
from fundusseg.inference.localiser import APART, CROP, Place, localise
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.segmenter import VIEWS
from fundusseg.inference.square import Look
from fundusseg.inference.uncertainty import WIDE, Verdict, judge
from fundusseg.measures.contours import Points
from fundusseg.measures.cup_disc import Measures, check_scale, measure
from fundusseg.measures.label_map import Smoothing
from fundusseg.models.checkpoint import Description
from fundusseg.sample import CUP, DISC, Eye, Image, Region

NOT_LOCALISED = "the localiser found no disc: all of the picture was searched"


@dataclass(frozen=True)
class Prediction:
    """What was found in one photograph.

    Attributes:
        label_map: H x W uint8 at native size: 0 background, 1 rim, 2 cup.
        measures: Cup/disc ratios and sizes; undefined, with the reason, where the photograph is rejected.
        box: The square of the photograph that the network saw.
        how: How that square was found, in words.
        eye: Right (OD) or left (OS), as given or told; None where neither.
        eye_from: How the eye was told, in words.
        spread: Standard deviation of the vertical ratio over views and networks; NaN where there is one look only.
        vertical_cdr_low: Lower end of the vertical ratio's interval; NaN where the bundle is not calibrated for as many
            views, or the areas are smoothed.
        vertical_cdr_high: Upper end.
        verdict: ``accept``, ``review`` or ``reject``; None where no disc is looked for.
        reasons: Why not ``accept``.
        seen: R x S x S probabilities of each network, on the box.
        outlines: Of each region, (N, 2) x and y in pixels of the photograph.
    """

    label_map: Image
    measures: Measures
    box: Box
    how: str
    eye: Eye | None = None
    eye_from: str = ""
    spread: float = math.nan
    vertical_cdr_low: float = math.nan
    vertical_cdr_high: float = math.nan
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    seen: tuple[npt.NDArray[np.float32], ...] = field(default=(), repr=False)
    outlines: dict[Region, Points] = field(default_factory=dict, repr=False)

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """R x H x W float32 at native size, the networks' mean; 0 outside the box."""
        height, width = self.label_map.shape
        return np.asarray(np.mean([restore(one, self.box, (height, width)) for one in self.seen], axis=0), np.float32)


class Predictor:
    """Segments photographs; several threads may use one at the same time.

    Args:
        bundle: Localiser, segmenters and calibration.
        views: How many of `segmenter.VIEWS` each photograph is looked at in; None takes as many as the calibration
            did, or one.
        smoothing: Of disc and cup, see `masks.label_map`.
        millimetres_per_pixel: Scale of the photographs; without it no area is given in square millimetres.

    Raises:
        ConfigurationError: There are not so many views, or the scale is not above 0.
    """

    def __init__(
        self,
        bundle: Bundle,
        views: int | None = None,
        smoothing: Smoothing = "none",
        millimetres_per_pixel: float | None = None,
    ) -> None:
        check_scale(millimetres_per_pixel)
        self.bundle, self.smoothing, self.scale = bundle, smoothing, millimetres_per_pixel
        calibration = bundle.calibration
        self.views = views if views is not None else calibration.views if calibration else 1
        if not 1 <= self.views <= len(VIEWS):
            raise ConfigurationError(f"{self.views} views", f"1 to {len(VIEWS)}", "correct --views")
        # An interval holds for what was calibrated alone.
        fits = calibration is not None and self.views == calibration.views and smoothing == "none"
        self.calibration = calibration if fits else None

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu", **options: Any) -> "Predictor":
        """Load a checkpoint or a bundle; nothing but the file is needed. Options are those of the constructor.

        Raises:
            CheckpointError: The file is missing or is not one of ours.
        """
        return cls(Bundle.load(path, device), **options)

    @property
    def description(self) -> Description:
        """Of the first segmenter; all have its regions."""
        return self.bundle.segmenters[0].description

    @property
    def thresholds(self) -> dict[Region, float]:
        """Of each region, the mean of the segmenters' own."""
        all_of_them = [segmenter.description.thresholds for segmenter in self.bundle.segmenters]
        return {region: float(np.mean([t[region] for t in all_of_them])) for region in all_of_them[0]}

    def __call__(self, image: Image, eye: Eye | None = None, name: str = "") -> Prediction:
        """Segment one photograph.

        Args:
            image: H x W x 3 uint8 RGB. Without a localiser, a network trained on disc-centred crops takes such a crop.
                It then looks twice: the second time at the square that training would have cut around the disc it
                found.
            eye: Right (OD) or left (OS); where None, it is told by the name or the disc's place, if they say it.
            name: The photograph's file name.
        """
        return self.batch([image], [eye], [name])[0]

    def batch(
        self, images: Sequence[Image], eyes: Sequence[Eye | None] = (), names: Sequence[str] = ()
    ) -> list[Prediction]:
        """Segment several photographs, of any sizes, each network looking at all of them at once."""
        looking_for_disc = DISC in self.description.preparation.regions
        qualities = [assess(image) if looking_for_disc else None for image in images]
        good = [position for position, quality in enumerate(qualities) if quality is None or not quality.faults]
        places: list[Place | None] = [None] * len(images)
        if self.bundle.localiser is not None and good:
            for position, place in zip(good, localise(self.bundle.localiser, [images[i] for i in good]), strict=True):
                places[position] = place
        looks = dict(zip(good, self._look([images[i] for i in good], [places[i] for i in good]), strict=True))
        eyes, names = eyes or [None] * len(images), names or [""] * len(images)
        return [
            self._conclude(image, quality, place, looks[position], eye, name)
            if position in looks
            else _rejected(image, quality)
            for position, (image, quality, place, eye, name) in enumerate(
                zip(images, qualities, places, eyes, names, strict=True)
            )
        ]

    def look(self, image: Image, box: Box, threshold: float) -> Look:
        """Segment one given square of a photograph, seen once as it is, with one threshold for all regions."""
        return self._segment([image], [box], 1, threshold)[0]

    def _look(self, images: Sequence[Image], places: Sequence[Place | None]) -> list[Look]:
        """At the localiser's square; without one, twice, for networks that want the disc in the middle."""
        preparation = self.description.preparation
        centred = preparation.roi == "disc"
        boxes = [
            place.box(preparation.roi_scale) if place and centred else preparation.find_box(image)
            for image, place in zip(images, places, strict=True)
        ]
        if not (centred and DISC in preparation.regions):
            return self._segment(images, boxes, self.views)
        looks: dict[int, Look] = {}
        for found in (True, False):
            chosen = [position for position, place in enumerate(places) if (place is not None) == found]
            inside = [images[position] for position in chosen], [boxes[position] for position in chosen]
            made = self._segment(*inside, self.views) if found else self._look_twice(*inside)
            looks |= dict(zip(chosen, made, strict=True))
        return [looks[position] for position in range(len(images))]

    def _look_twice(self, images: Sequence[Image], boxes: Sequence[Box]) -> list[Look]:
        """The second time at the square that training would have cut around the disc that was found."""
        looks = self._segment(images, boxes, 1)
        closer = [position for position, look in enumerate(looks) if look.disc.any()]
        boxes = [looks[position].centred(self.description.preparation.roi_scale) for position in closer]
        for position, look in zip(closer, self._segment([images[i] for i in closer], boxes, self.views), strict=True):
            if look.disc.any():
                looks[position] = look
        return looks

    def _segment(
        self, images: Sequence[Image], boxes: Sequence[Box], views: int, threshold: float | None = None
    ) -> list[Look]:
        """Every network at all squares at once; without a threshold, with the networks' own."""
        if not images:
            return []
        found = []
        for segmenter in self.bundle.segmenters:
            prepare = segmenter.description.preparation.picture
            pictures = np.stack([prepare(image, box) for image, box in zip(images, boxes, strict=True)])
            found.append(segmenter(pictures, views))
        thresholds = self.thresholds if threshold is None else dict.fromkeys(self.thresholds, threshold)
        return [
            Look(image, box, [views[:, position] for views in found], thresholds, self.smoothing)
            for position, (image, box) in enumerate(zip(images, boxes, strict=True))
        ]

    def _conclude(
        self, image: Image, quality: Quality | None, place: Place | None, look: Look, eye: Eye | None, name: str
    ) -> Prediction:
        disc = look.disc.view(np.uint8) if look.disc.size else None
        eye, told = (eye, "given") if eye else infer_eye(name, disc, field_of_view(image))
        measures = measure(look.labels, look.regions, eye=eye, millimetres_per_pixel=self.scale)
        searched = "all of the picture" if self.bundle.localiser is None else NOT_LOCALISED
        spread = look.spread()
        low, high = (math.nan, math.nan)
        if self.calibration is not None:
            low, high = self.calibration.interval(measures.vertical_cdr, spread)
        prediction = Prediction(
            look.labels,
            measures,
            look.box,
            place.how if place else searched,
            eye,
            told,
            spread,
            low,
            high,
            seen=tuple(views.mean(axis=0) for views in look.found),
            outlines=look.outlines(),
        )
        if quality is None:
            return prediction
        faults, flaws = self._doubts(image, place, look, prediction)
        verdict, reasons = judge(faults, (*quality.flaws, *flaws))
        if verdict == "reject" and look.disc.any():
            nothing = Measures(reason="rejected")
            prediction = replace(prediction, measures=nothing, vertical_cdr_low=math.nan, vertical_cdr_high=math.nan)
        return replace(prediction, verdict=verdict, reasons=reasons)

    def _doubts(
        self, image: Image, place: Place | None, look: Look, prediction: Prediction
    ) -> tuple[list[str], list[str]]:
        """Faults and flaws of what was found, beyond those of the pixels."""
        if not look.disc.any():
            return ["no disc found"], []
        row, column, diameter = look.circle()
        sharp = sharpness(image, row, column, diameter)
        low, high = prediction.vertical_cdr_low, prediction.vertical_cdr_high
        apart = place.apart(row, column, diameter) if place else 0.0
        whole = diameter < CROP * max(image.shape[:2])
        faults = {
            f"not sharp (contrast {sharp:.3f})": sharp < FORMLESS,
            "neither a whole photograph on its dark frame nor a crop around the disc": whole and not framed(image),
        }
        flaws = {
            f"not sharp (contrast {sharp:.3f})": FORMLESS <= sharp < BLURRED,
            NOT_LOCALISED: self.bundle.localiser is not None and place is None,
            f"localiser and segmenter find different discs ({apart:.2f} diameters apart)": apart > APART,
            "the disc is cut by the picture's edge": (cut := look.cut_by_edge()),
            "the disc is cut by the field of view's edge": not cut and unlit_surroundings(image, look.disc) > CUT,
            "no cup found": CUP in look.regions and prediction.measures.cup_area == 0,
            f"the vertical ratio is uncertain ({low:.2f} to {high:.2f})": high - low > WIDE,
        }
        return [text for text, holds in faults.items() if holds], [text for text, holds in flaws.items() if holds]


def _rejected(image: Image, quality: Quality | None) -> Prediction:
    """A photograph that no network is asked about."""
    verdict, reasons = judge(quality.faults, quality.flaws) if quality else (None, ())
    empty, box = np.zeros(image.shape[:2], np.uint8), Box(0, 0, *image.shape[:2])
    return Prediction(empty, Measures(reason="rejected"), box, "not searched", verdict=verdict, reasons=reasons)
