"""Where the disc is in a photograph of any size and camera, whole or already cut."""

import math
from dataclasses import dataclass

from fundusseg.imaging.roi import Box, bounds
from fundusseg.inference.segmenter import Segmenter
from fundusseg.measures.label_map import label_map, region_mask
from fundusseg.sample import DISC, Image

CROP = 0.25
"""A disc that fills this share of the picture's longer side stands in a crop; whole photographs have it up to 0.22."""

APART = 0.15
"""Distance of the localiser's disc and the segmenter's, see `DiscLocation.apart`, beyond which a person should look.

One of 83 photographs of training patients is beyond it, the one with the worst disc (Dice 0.72).
"""


@dataclass(frozen=True, slots=True)
class DiscLocation:
    """Where a disc is.

    Attributes:
        row: Of the centre of its bounding box, in pixels of the photograph.
        column: Likewise.
        diameter: Longer side of its bounding box, in pixels.
        how: How it was found, in words.
        peak: The localiser's highest probability; where there is no disc, it is seldom sure of what it takes for one.
    """

    row: float
    column: float
    diameter: float
    how: str
    peak: float = 1.0

    def square(self, scale: float) -> Box:
        """The square of ``scale`` diameters around it."""
        side = max(1, round(scale * self.diameter))
        return Box(round(self.row - side / 2), round(self.column - side / 2), side, side)

    def apart(self, row: float, column: float, diameter: float) -> float:
        """Largest distance between this disc's outline and another's, both taken for circles, in its diameters.

        It is the Hausdorff distance of two circles, ``|c1 - c2| + |r1 - r2|``.

        Args:
            row: Of the other's centre, in pixels of the photograph.
            column: Likewise.
            diameter: The other's, in pixels.
        """
        distance = math.hypot(row - self.row, column - self.column) + abs(diameter - self.diameter) / 2
        return distance / self.diameter


def locate_disc(localiser: Segmenter, photograph: Image, field_of_view: Box) -> DiscLocation | None:
    """Find the disc of a photograph.

    Args:
        localiser: Segments the disc.
        photograph: H x W x 3 uint8 RGB.
        field_of_view: Its lit part.

    Returns:
        None where there is no disc to be found.
    """
    preparation = localiser.description.preparation
    square = preparation.find_box(photograph, field_of_view)
    probabilities = localiser(preparation.picture(photograph, square)[None])[0, 0]  # R x S x S
    labels = label_map(probabilities, preparation.regions, localiser.description.thresholds)
    disc = bounds(region_mask(labels, DISC, preparation.regions))
    if disc is None:
        return None
    # Photograph pixels for each pixel of the square.
    pixel = square.height / preparation.image_size
    diameter = pixel * max(disc.height, disc.width)
    share = diameter / max(photograph.shape[:2])
    kind = "a crop already" if share >= CROP else "a whole photograph"
    return DiscLocation(
        row=square.top + pixel * (disc.top + disc.height / 2),
        column=square.left + pixel * (disc.left + disc.width / 2),
        diameter=diameter,
        how=f"{kind}: the localiser's disc fills {share:.2f} of its longer side",
        peak=float(probabilities[preparation.regions.index(DISC)].max()),
    )
