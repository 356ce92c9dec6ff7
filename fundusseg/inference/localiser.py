"""Where the disc is in a photograph of any size and camera, whole or already cut."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fundusseg.imaging.roi import Box, bounds
from fundusseg.inference.segmenter import Segmenter
from fundusseg.measures.label_map import label_map, region_mask
from fundusseg.sample import DISC, Image

CROP = 0.25
"""A disc that fills this share of the picture's longer side stands in a crop; whole photographs have it up to 0.22."""

APART = 0.15
"""Distance of the localiser's disc and the segmenter's, see `Place.apart`, beyond which a person should look.

One of 83 photographs of training patients is beyond it, the one with the worst disc (Dice 0.72).
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a disc is.

    Attributes:
        row: Of the centre of its bounding box, in pixels of the photograph.
        column: Likewise.
        diameter: Longer side of its bounding box, in pixels.
        how: How it was found, in words.
    """

    row: float
    column: float
    diameter: float
    how: str

    def box(self, scale: float) -> Box:
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


def localise(localiser: Segmenter, images: Sequence[Image]) -> list[Place | None]:
    """Find the disc of each photograph, all in one pass.

    Args:
        localiser: Segments the disc.
        images: H x W x 3 uint8 each.

    Returns:
        None where there is no disc to be found.
    """
    preparation = localiser.description.preparation
    boxes = [preparation.find_box(image) for image in images]
    pictures = np.stack([preparation.picture(image, box) for image, box in zip(images, boxes, strict=True)])
    found = localiser(pictures)[0]
    regions, thresholds = preparation.regions, localiser.description.thresholds
    places: list[Place | None] = []
    for image, box, probabilities in zip(images, boxes, found, strict=True):
        mask = region_mask(label_map(probabilities, regions, thresholds), DISC, regions)
        disc = bounds(mask)
        if disc is None:
            places.append(None)
            continue
        pixel = box.height / preparation.image_size
        diameter = pixel * max(disc.height, disc.width)
        share = diameter / max(image.shape[:2])
        kind = "a crop already" if share >= CROP else "a whole photograph"
        places.append(
            Place(
                row=box.top + pixel * (disc.top + disc.height / 2),
                column=box.left + pixel * (disc.left + disc.width / 2),
                diameter=diameter,
                how=f"{kind}: the localiser's disc fills {share:.2f} of its longer side",
            )
        )
    return places
