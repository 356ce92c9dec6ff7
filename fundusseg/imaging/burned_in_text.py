"""Writing that a camera or a program has burned into a photograph: found beside the field of view, or blacked out."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.sample import Image

LIT = 48
"""Grey levels by which the field of view differs from the page that it stands on."""

DIM = 20
"""The same, of a photograph so dark that no field is found by `LIT`."""

SMALLEST_FIELD = 0.1
"""Share of the picture below which what differs from the page is no field."""

STROKE = 16.0
"""Grey levels between two neighbours from which there is an edge of writing; haze and glare beside the field are
smooth. On a noisy page `STROKES_OF_NOISE` times the usual difference of neighbours."""

STROKES_OF_NOISE = 6.0

LEAST = 12
"""Pixels at such an edge; less is a hot pixel or what compression leaves."""

NEAR = 0.01
"""Share of the picture's larger side within which an edge is the field's own."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


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

    def slices(self, image: Image, margin: int = 0) -> tuple[slice, slice]:
        """Rows and columns of a picture, to whole pixels outwards, and a margin of more of them."""
        height, width = image.shape[:2]
        rows = slice(max(0, int(self.top * height) - margin), int(np.ceil(self.bottom * height)) + margin)
        return rows, slice(max(0, int(self.left * width) - margin), int(np.ceil(self.right * width)) + margin)


def blacked_out(image: Image, areas: Iterable[Area]) -> Image:
    """A copy in which some areas are black, each to whole pixels outwards."""
    made = image.copy()
    for area in areas:
        made[area.slices(image)] = 0
    return made


def is_written_on(image: Image, area: Area) -> bool:
    """Whether anything stands out in an area: writing, or what is in the picture there."""
    return int((_differences(image[area.slices(image)]) > STROKE).sum()) >= LEAST


def writing_beside_field(image: Image, covered: Iterable[Area] = ()) -> int:
    """Count the pixels at edges of writing beside the field of view: letters, numbers, logos, of any grey on any page.

    Sharp edges on the page are counted, whatever their brightness: black on white, grey on black. What is written
    within the field, or within a hundredth of the picture's side from it, is not found.

    Of twelve photographs each of IDRiD, REFUGE and ORIGA (crops) without writing none is counted, of DRISHTI-GS two,
    for sharp glare; of DRIONS-DB, on which small letters run down the margin, all.

    Args:
        image: H x W x 3 RGB.
        covered: What was blacked out, whose own edges are no writing.

    Returns:
        0 where the page is empty, or no page is seen.
    """
    page = _around_field(image) == 0
    for area in covered:
        page[area.slices(image, margin=1)] = False
    if not page.any():
        return 0
    differences = _differences(image)
    threshold = max(STROKE, STROKES_OF_NOISE * float(np.median(differences[page])))
    edges = ((differences > threshold) & page).astype(np.uint8)
    sizes = cv2.connectedComponentsWithStats(edges, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return int(sizes[sizes >= LEAST].sum())


def _differences(image: Image) -> npt.NDArray[np.uint8]:
    """H x W: the largest difference of a channel between a pixel's neighbours, itself included."""
    return np.asarray((cv2.dilate(image, _NEIGHBOURS) - cv2.erode(image, _NEIGHBOURS)).max(axis=2), np.uint8)


def _around_field(image: Image) -> npt.NDArray[np.uint8]:
    """H x W: 1 in the field of view and close around it; 0 everywhere where none is found."""
    height, width = image.shape[:2]
    around = np.zeros((height, width), np.uint8)
    apart = np.abs(image.astype(np.int16) - _page_colour(image)).max(axis=2)
    for threshold in (LIT, DIM):
        field = _largest(apart > threshold)
        if field.sum() >= SMALLEST_FIELD * field.size:
            # The hull, as vessels and shadows part a dark picture's field into several.
            points = np.argwhere(field)[:, ::-1].astype(np.int32)
            cv2.fillConvexPoly(around, cv2.convexHull(points), 1)
            margin = max(1, round(NEAR * max(height, width)))
            return np.asarray(cv2.dilate(around, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)), np.uint8)
    return around


def _page_colour(image: Image) -> npt.NDArray[np.int16]:
    """The colour of the corners, where all are alike; else of the darkest, as the field may reach into the others."""
    height, width = image.shape[:2]
    side = max(2, round(0.02 * max(height, width)))
    corners = [image[rows, columns] for rows in _ends(height, side) for columns in _ends(width, side)]
    colours = np.array([np.median(corner.reshape(-1, 3), axis=0) for corner in corners], np.int16)
    alike = int(np.ptp(colours, axis=0).max()) <= STROKE
    return np.asarray(np.median(colours, axis=0) if alike else colours[colours.sum(axis=1).argmin()], np.int16)


def _ends(length: int, side: int) -> tuple[slice, slice]:
    return slice(0, side), slice(max(0, length - side), length)


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest connected part."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return np.asarray(parts == 1 + int(sizes.argmax())) if len(sizes) else np.zeros_like(mask)
