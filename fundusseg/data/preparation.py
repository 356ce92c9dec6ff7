"""From a decoded sample at native size to the square picture and target that the network sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fundusseg.data.expert_fusion import fuse
from fundusseg.data.plausibility import large_parts
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.equalise import equalise
from fundusseg.imaging.roi import Box, crop, disc_box, field_of_view, square
from fundusseg.plain_types import require_types
from fundusseg.sample import CUP, DISC, Annotation, Image, Region, Sample

RoiPolicy = Literal["disc", "field_of_view", "picture"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One sample as it is stored and fed.

    Attributes:
        image: S x S x 3 uint8.
        target: S x S x R uint8, 0..255 for 0..1: what is learnt.
        truth: S x S x R uint8: what is scored against; the experts' majority where the target is soft.
        valid: R bool, region labelled in this sample.
        box: The square of the native picture that was taken.
    """

    image: Image
    target: Image
    truth: Image
    valid: npt.NDArray[np.bool_]
    box: Box


@dataclass(frozen=True, slots=True)
class Preparation:
    """How pictures become squares; a checkpoint carries it, so that use looks as training did.

    Attributes:
        regions: One output channel each, parents first; one that a dataset does not label is left out of the loss.
        image_size: S, side of the squares in pixels.
        roi: ``disc``: a square around the labelled disc; ``field_of_view``: around the lit circle; ``picture``: all.
        roi_scale: Side of the disc's square, in disc diameters.
        fusion: How several experts become one target: majority, mean (soft), intersection, union, staple, or an
            expert's name. Scores take the majority in place of the mean.
        clahe: Clip limit, 0..1, of the adaptive histogram equalisation that every picture goes through, in use too;
            None for none.
    """

    regions: tuple[Region, ...] = (DISC, CUP)
    image_size: int = 96
    roi: RoiPolicy = "disc"
    roi_scale: float = 2.4
    fusion: str = "mean"
    clahe: float | None = None

    def __post_init__(self) -> None:
        given: object = self.regions
        if isinstance(given, list):  # from Python or YAML; a tuple hashes and compares too
            object.__setattr__(self, "regions", tuple(given))
        if self.roi not in get_args(RoiPolicy):
            raise ConfigurationError(f"roi {self.roi!r}", f"one of {list(get_args(RoiPolicy))}", "change --data.roi")
        try:
            require_types(self)
        except TypeError as error:
            wrong = f"a setting of the data: {error}"
            raise ConfigurationError(wrong, "the type that --help lists", "correct it") from error
        if not self.regions or len(set(self.regions)) != len(self.regions):
            raise ConfigurationError(
                f"regions {list(self.regions)}", "one or more different regions", "change --data.regions"
            )
        if self.image_size < 16:
            raise ConfigurationError(f"image_size {self.image_size}", "at least 16 pixels", "change --data.image_size")
        if not 1 <= self.roi_scale < math.inf:
            raise ConfigurationError(
                f"roi_scale {self.roi_scale}", "at least 1 disc diameter", "change --data.roi_scale"
            )
        if self.clahe is not None and not 0 < self.clahe <= 1:
            raise ConfigurationError(f"clahe {self.clahe}", "a clip limit above 0, up to 1", "change --data.clahe")

    def __call__(self, sample: Sample) -> Prepared:
        """Fuse the experts, cut the region of interest, resize.

        Raises:
            DatasetError: ``roi`` is ``disc`` and the sample's disc is not labelled or empty.
        """
        box = self.box(sample)
        size = self.image_size
        target = np.zeros((size, size, len(self.regions)), np.uint8)
        truth = target.copy() if self.scored != self.fusion else target
        valid = np.zeros(len(self.regions), np.bool_)
        for channel, region in enumerate(self.regions):
            if annotations := sample.of(region):
                target[..., channel] = crop(fuse(annotations, self.fusion), box, size)
                if truth is not target:
                    # Half of the experts is half of 255: cut after cropping, such a plateau would lose its edge.
                    truth[..., channel] = crop(fuse(annotations, self.scored), box, size)
                valid[channel] = True
        return Prepared(self.picture(sample.image, box), target, truth, valid, box)

    def picture(self, image: Image, box: Box) -> Image:
        """A square of a photograph as the network sees it, S x S x 3 uint8."""
        pixels = crop(image, box, self.image_size)
        return pixels if self.clahe is None else equalise(pixels, self.clahe)

    @property
    def scored(self) -> str:
        """The fusion that scores rest on: ``majority`` in place of the soft ``mean``."""
        return "majority" if self.fusion == "mean" else self.fusion

    @property
    def protocol(self) -> str:
        """How scores at this size come about, for the caption of their table."""
        crop_of = {
            "disc": f"crops of {self.roi_scale:g} disc diameters centred on the labelled disc",
            "field_of_view": "fields of view",
            "picture": "whole pictures",
        }[self.roi]
        size = self.image_size
        rule = "majority (at least half)" if self.scored == "majority" else self.scored
        scored = "masks as thresholded, without post-processing"
        return f"{crop_of}, {size} x {size} pixels; truth: {rule} of experts; {scored}; mean over pictures"

    def box(self, sample: Sample) -> Box:
        """The square to take from this sample."""
        if self.roi == "disc":
            discs = sample.of(DISC)
            if not discs:
                raise DatasetError(
                    f"no labelled disc for {sample.record.image}",
                    "a disc to centre the crop on",
                    "use --data.roi field_of_view or picture for this dataset",
                )
            return labelled_box(discs, self.roi_scale)
        return self.find_box(sample.image)

    def find_box(self, image: Image, known_field: Box | None = None) -> Box:
        """The square to take where nothing is labelled: a crop is taken whole.

        Args:
            image: H x W x 3 uint8.
            known_field: Its field of view, where that is known already.
        """
        if self.roi == "field_of_view":
            return square(known_field or field_of_view(image))
        return square(Box(0, 0, *image.shape[:2]))


def labelled_box(discs: Sequence[Annotation], scale: float) -> Box:
    """Square around all experts' disc; a stray pixel elsewhere does not count.

    Args:
        discs: At least one annotation of the disc.
        scale: Side of the square in disc diameters.

    Raises:
        DatasetError: Nothing is marked.
    """
    return disc_box(large_parts(fuse(discs, "union") > 127), scale)
