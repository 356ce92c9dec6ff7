"""Writing that a camera or a program has burned into a photograph: found beside the field of view, or blacked out."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from fundusseg.errors import ConfigurationError
from fundusseg.sample import Image

LIT = 48
"""Grey level from which a pixel is no dark frame: noise and glare beside the field stay below."""

LEAST = 4
"""Pixels of a stroke; less is a hot pixel or what compression leaves."""

NEAR = 0.01
"""Share of the picture's larger side within which what is lit is the field's own edge."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in shares of the picture's width and height, so that it holds for all sizes of one camera.

    Attributes:
        left: 0..1.
        top: 0..1.
        right: Above ``left``.
        bottom: Above ``top``.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise ConfigurationError(f"{self}", "shares of the picture, 0 <= left < right <= 1", "correct the area")


def blacked_out(image: Image, areas: Iterable[Area]) -> Image:
    """A copy in which some areas are black, each to whole pixels outwards."""
    height, width = image.shape[:2]
    made = image.copy()
    for area in areas:
        rows = slice(int(area.top * height), int(np.ceil(area.bottom * height)))
        made[rows, int(area.left * width) : int(np.ceil(area.right * width))] = 0
    return made


def writing_beside_field(image: Image) -> int:
    """Count the lit pixels that stand apart from the field of view: letters, numbers, logos.

    What is written within the field is not found.

    Args:
        image: H x W x 3 RGB.

    Returns:
        0 where all that is lit is one area.
    """
    lit = (image.max(axis=2) > LIT).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    if not len(sizes):
        return 0
    field = (np.asarray(parts) == 1 + int(sizes.argmax())).astype(np.uint8)
    margin = max(1, round(NEAR * max(image.shape[:2])))
    # The hull, as vessels and shadows part a dark picture's field into several.
    points = np.argwhere(field)[:, ::-1].astype(np.int32)
    cv2.fillConvexPoly(field, cv2.convexHull(points), 1)
    around = cv2.dilate(field, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    apart = {int(part) for part in np.unique(np.asarray(parts)[(lit > 0) & (around == 0)])}
    return int(sum(sizes[part - 1] for part in apart if sizes[part - 1] >= LEAST))
