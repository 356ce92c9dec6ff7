"""Which eye a photograph shows, told by a network that abstains where it is not sure."""

from dataclasses import dataclass

import numpy as np

from fundusseg.errors import ConfigurationError
from fundusseg.imaging.laterality import infer_eye
from fundusseg.imaging.roi import Box
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.square import SegmentedSquare
from fundusseg.sample import Eye, Image

RIGHT = "right eye"
"""The one region of such a network: its map has one place, a probability for the whole picture."""


@dataclass(frozen=True, slots=True)
class EyeReader:
    """Tells the eye from what surrounds its disc, in whole photographs and crops.

    Attributes:
        network: uint8 (B, 3, S, S) to (B, 1, 1, 1) logits of a right eye; its description's threshold is the
            probability from which an eye is told, above 0.5.

    Raises:
        ConfigurationError: The network was trained for something else.
    """

    network: Segmenter

    def __post_init__(self) -> None:
        description = self.network.description
        if description.preparation.regions != (RIGHT,) or description.preparation.roi != "disc":
            raise ConfigurationError(
                f"a network for {', '.join(description.preparation.regions)} as the one that tells the eye",
                f"one for {RIGHT!r} in squares around the disc",
                "give a checkpoint of tools/train_eye.py",
            )

    def __call__(self, photograph: Image, row: float, column: float, diameter: float) -> Eye | None:
        """Tell the eye of a photograph; None where the network is not sure.

        Args:
            photograph: H x W x 3 uint8 RGB, upright and not mirrored.
            row: Of the disc's centre, in pixels.
            column: Likewise.
            diameter: The disc's, in pixels.
        """
        probability = self.probability(photograph, row, column, diameter)
        threshold = self.network.description.thresholds[RIGHT]
        if max(probability, 1 - probability) < threshold:
            return None
        return "OD" if probability > 0.5 else "OS"

    def probability(self, photograph: Image, row: float, column: float, diameter: float) -> float:
        """Of a right eye, 0..1; 1 less it for the mirrored photograph."""
        preparation = self.network.description.preparation
        side = max(1, round(preparation.roi_scale * diameter))
        square = Box(round(row - side / 2), round(column - side / 2), side, side)
        return float(self.network(preparation.picture(photograph, square)[None]).item())


def eye_seen(
    reader: EyeReader | None, photograph: Image, field_of_view: Box, segmented: SegmentedSquare
) -> tuple[Eye | None, str]:
    """The eye that the picture itself shows, and by what: the network, or without one the disc's place.

    Args:
        reader: Of the bundle, if it has one.
        photograph: H x W x 3 uint8 RGB.
        field_of_view: Its lit part.
        segmented: With the disc.
    """
    disc = segmented.disc.view(np.uint8) if segmented.disc.size else None
    if reader is None or disc is None or not disc.any():
        return infer_eye("", disc, field_of_view)
    told = reader(photograph, *segmented.disc_circle)
    return told, "vessels and fovea" if told else "not told"
