"""Two photographs of one eye laid over each other: by marks on the vessels, or else by the disc's outline alone."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.errors import ImageError
from fundusseg.imaging.roi import Box, crop
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.moments import moments
from fundusseg.sample import DISC, Image

VIEW = 3.0
"""Side of the compared square in disc diameters: vessels are surest near the disc."""

SIDE = 480
"""Pixels along that square: a disc is 160 wide, as sharp as most photographs show it."""

_RATIO = 0.8
"""A mark matches where the next best one is that much farther (Lowe 2004, doi 10.1023/B:VISI.0000029664.99615.94)."""

_APART = 3.0
"""Pixels of the square within which matching marks agree."""

FEWEST = 10
"""Marks that must agree."""

_SCALE, _TURN, _SHIFT = 1.3, 20.0, 0.4
"""Largest scale, degrees and disc diameters by which two photographs of one eye differ, once their discs lie at one
place in one size."""


@dataclass(frozen=True, eq=False, slots=True)
class Disc:
    """Where the disc lies.

    Attributes:
        x: Column of its centre, in pixels; whole numbers are pixel centres.
        y: Row.
        diameter: Of the circle of its area.
    """

    x: float
    y: float
    diameter: float

    @classmethod
    def of(cls, label_map: npt.NDArray[np.uint8]) -> "Disc":
        """The disc of a label map.

        Raises:
            ImageError: It has none.
        """
        found = moments(region_mask(label_map, DISC))
        if not found.area:
            raise ImageError("a label map without a disc", "a disc", "leave the photograph out of the alignment")
        return cls(found.x, found.y, 2 * math.sqrt(found.area / math.pi))

    def square(self, scale: float = VIEW) -> Box:
        """A square around it, by default the one that is compared, of a side in disc diameters."""
        side = max(1, round(scale * self.diameter))
        return Box(round(self.y - side / 2), round(self.x - side / 2), side, side)


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """How one photograph lies on another.

    Attributes:
        matrix: 3 x 3; pixels of the moved photograph to those of the reference: turn, scale and shift.
        marks: Vessel marks that agree; 0 where the outlines alone were laid over each other.
    """

    matrix: npt.NDArray[np.float64]
    marks: int

    @property
    def turn(self) -> float:
        """Degrees that the moved photograph is turned by, clockwise as it is seen; 0 where vessels do not tell."""
        return math.degrees(math.atan2(self.matrix[1, 0], self.matrix[0, 0]))

    @property
    def how(self) -> str:
        """In words."""
        if self.marks:
            return f"vessels ({self.marks} marks)"
        return f"outline alone: fewer than {FEWEST} vessel marks agree, so that no turn is known"


def align(reference: Image, reference_disc: Disc, moved: Image, moved_disc: Disc) -> Alignment:
    """Lay one photograph of an eye over another.

    Scale-invariant features of the squares around both discs are matched; the similarity on which most agree (RANSAC,
    always with the same seed) is taken where at least `FEWEST` do and it is one that two photographs can have.

    Args:
        reference: H x W x 3 uint8 RGB.
        reference_disc: Its disc.
        moved: H x W x 3 uint8 RGB, of any size.
        moved_disc: Its disc.
    """
    there, here = into_crop(reference_disc.square(), SIDE), into_crop(moved_disc.square(), SIDE)
    between, marks = _similarity(_structure(moved, moved_disc), _structure(reference, reference_disc))
    return Alignment(np.linalg.inv(there) @ between @ here, marks)


def into_crop(box: Box, size: int) -> npt.NDArray[np.float64]:
    """3 x 3: a photograph's pixels to those of its `crop` of a square box to ``size`` pixels."""
    scale = size / box.width
    left, top = (0.5 - first for first in (box.left, box.top))
    return np.array([[scale, 0, scale * left - 0.5], [0, scale, scale * top - 0.5], [0, 0, 1]])


def _structure(image: Image, disc: Disc) -> Image:
    """Vessels around a disc: SIDE x SIDE uint8, the green channel's contrast to its own surroundings."""
    green = crop(image, disc.square(), SIDE)[..., 1].astype(np.float32)
    fine = cv2.GaussianBlur(green, (0, 0), 1.0) - cv2.GaussianBlur(green, (0, 0), 20.0)
    spread = np.sqrt(cv2.GaussianBlur(np.square(fine), (0, 0), 30.0)) + 1.0
    return np.asarray(np.clip(128 + 48 * fine / spread, 0, 255), np.uint8)


def _similarity(moved: Image, reference: Image) -> tuple[npt.NDArray[np.float64], int]:
    """3 x 3 between two squares, and how many marks agree on it; nothing moves where too few do."""
    nothing = np.eye(3), 0
    finder = cv2.SIFT.create(nfeatures=1500, contrastThreshold=0.02)
    (marks, words), (other_marks, other_words) = (finder.detectAndCompute(one, None) for one in (moved, reference))
    if words is None or other_words is None or min(len(words), len(other_words)) < FEWEST:
        return nothing
    pairs = cv2.BFMatcher().knnMatch(words, other_words, k=2)
    good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance]
    if len(good) < FEWEST:
        return nothing
    here = np.array([marks[match.queryIdx].pt for match in good])
    there = np.array([other_marks[match.trainIdx].pt for match in good])
    cv2.setRNGSeed(0)
    found, agree = cv2.estimateAffinePartial2D(
        here, there, ransacReprojThreshold=_APART, maxIters=5000, confidence=0.999
    )
    count = 0 if agree is None else int(agree.sum())
    if found is None or count < FEWEST or not _plausible(matrix := np.asarray(found, np.float64)):
        return nothing
    return np.vstack([matrix, [0, 0, 1]]), count


def _plausible(matrix: npt.NDArray[np.float64]) -> bool:
    """Whether two photographs of one eye can differ by it, their discs being at one place in one size."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    turn = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    middle = np.full(2, (SIDE - 1) / 2)
    shift = float(np.hypot(*(matrix[:, :2] @ middle + matrix[:, 2] - middle))) / (SIDE / VIEW)
    return 1 / _SCALE < scale < _SCALE and abs(turn) < _TURN and shift < _SHIFT
