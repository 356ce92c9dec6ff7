"""Image quality: is this a photograph of the fundus, and good enough to measure on? By colour, light and sharpness."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.imaging import roi
from fundusseg.imaging.roi import Box, brightest, crop, disc_box
from fundusseg.sample import Image

_SIDE = 256
"""Pixels along the field's longer side at which colour and light are looked at."""

_LIT = 20
"""Brightest channel above which a pixel belongs to the field."""

_FRAME = 40.0
"""Brightest channel of a corner that shows the frame; 24 at most in DRISHTI-GS, DRIONS-DB and iChallenge-PM."""

_GREY = 2.0
"""Largest difference of the channels' means in a picture without colour, of 255."""

DARK, VERY_DARK = 45.0, 25.0
"""Mean of the brightest channel below which a field is poorly lit, and too dark to see anything.

669 photographs and crops of DRISHTI-GS, DRIONS-DB, iChallenge-PM, REFUGE and ORIGA have 38 to 242, two below 45."""

OVEREXPOSED = 0.1
"""Share of white pixels above which light hides the tissue; at most 0.03 in those photographs."""

LEAST_RED, MOST_BLUE = 0.37, 0.28
"""Shares of red and blue in all light beyond which colours are odd: those photographs have 0.386 to 0.769 and 0.018 to
0.262."""

NO_RED, ALL_BLUE = 0.3, 0.35
"""Shares beyond which no camera's white balance explains them: blue or green rules."""

BLURRED, FORMLESS = 0.02, 0.008
"""Contrast of fine structures around the disc below which a picture is not sharp, and shows nothing.

215 photographs and crops of those sets have 0.011 to 0.18, each set's median 0.049 to 0.133; blurred by an eighth of a
disc diameter the medians fall to 0.005 to 0.013."""


CUT = 0.02
"""Share of unlit surroundings above which a disc is cut by the field's edge; 60 of 61 drawn discs have 0."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What the pixels say before any network is asked.

    Attributes:
        red: Share of red in all light of the field, 0..1.
        blue: Share of blue.
        brightness: Mean of the brightest channel in the field, 0..255.
        overexposed: Share of the field that is white.
        flaws: What speaks for a second look, in words.
        faults: What forbids any number, in words.
    """

    red: float
    blue: float
    brightness: float
    overexposed: float
    flaws: tuple[str, ...]
    faults: tuple[str, ...]


def assess(image: Image, field_of_view: Box | None = None, light: float = 1.0) -> Quality:
    """Judge colour and light of a photograph's field of view.

    Args:
        image: H x W x 3 uint8 RGB.
        field_of_view: The photograph's, where it is known already; without it, it is found here.
        light: Share of the light that its file can hold which became 255, see `image_files.read_with_light`: a deep
            file that holds little is either underexposed or of a camera of fewer bits, and a person should look.
    """
    box = field_of_view or roi.field_of_view(image)
    # Floor, so that no field is looked at coarser than `_SIDE`.
    step = max(1, min(box.height, box.width) // _SIDE)
    # Every n-th pixel is enough for means, and cheap on a photograph of 60 megapixels.
    field = image[box.slices][::step, ::step]
    bright = brightest(field)
    seen = bright > _LIT
    lit = field[seen]  # N x 3
    if len(lit) < 0.02 * bright.size:
        return Quality(np.nan, np.nan, float(bright.mean()), 0.0, (), ("nothing is lit",))
    colour = np.array([channel.mean() for channel in lit.T])
    red, _, blue = (float(value) for value in colour / colour.sum())
    brightness, white = float(bright[seen].mean()), float(np.logical_and.reduce([c > 240 for c in lit.T]).mean())
    faults, flaws = _of_colour(colour, red, blue)
    if brightness < DARK:
        (faults if brightness < VERY_DARK else flaws).append(f"poorly lit (brightness {brightness:.0f} of 255)")
    elif (dim := brightness * light) < DARK:
        # Nobody can tell the two apart by the numbers: a flaw, which a person looks at, and no fault.
        flaws.append(f"poorly lit (brightness {dim:.1f} of 255), or of a camera of fewer bits than its file")
    if white > OVEREXPOSED:
        flaws.append(f"overexposed ({100 * white:.0f} % white)")
    return Quality(red, blue, brightness, white, tuple(flaws), tuple(faults))


def _of_colour(colour: npt.NDArray[np.float64], red: float, blue: float) -> tuple[list[str], list[str]]:
    """Faults and flaws of a field of this mean (3,) with these shares of red and blue."""
    shares = f"(red {red:.2f}, blue {blue:.2f} of all light)"
    if np.ptp(colour) < _GREY:
        return [], ["grey: its colours cannot tell whether it is a fundus photograph"]
    if red < NO_RED or blue > ALL_BLUE:
        return [f"not the colours of a fundus photograph {shares}"], []
    if red < LEAST_RED or blue > MOST_BLUE:
        return [], [f"odd colours for a fundus photograph {shares}"]
    return [], []


def framed(image: Image) -> bool:
    """Whether the picture's corners are dark, as those of a whole photograph on the camera's frame; one may be lit.

    Args:
        image: H x W x 3 uint8 RGB.
    """
    # A 21st of each side, at the grain of a picture of 128 x 128 pixels: all of it would take twenty times as long.
    height, width = (max(1, round(6 * side / 128)) for side in image.shape[:2])
    corners = [image[rows, columns] for rows in _ends(height) for columns in _ends(width)]
    small = [brightest(np.asarray(cv2.resize(c, (6, 6), interpolation=cv2.INTER_AREA), np.uint8)) for c in corners]
    # The third darkest of four: one corner may show the camera's notch or text.
    return bool(sorted(float(np.median(corner)) for corner in small)[2] <= _FRAME)


def _ends(length: int) -> tuple[slice, slice]:
    """The first and the last so many."""
    return slice(None, length), slice(-length, None)


def sharpness(image: Image, row: float, column: float, diameter: float) -> float:
    """Contrast of fine structures around the disc, whatever the camera's resolution.

    The square of 2.4 disc diameters is brought to 192 pixels; the standard deviation of its green channel between
    blurs of 1 and 4 pixels, over its mean. Vessels and the disc's border make it.

    Args:
        image: H x W x 3 uint8 RGB.
        row: Of the disc's centre, in pixels.
        column: Likewise.
        diameter: The disc's, in pixels.
    """
    side = max(1, round(2.4 * diameter))
    # A side of 2.4 diameters at 192 pixels makes every disc 80 pixels wide, so that the blurs mean the same anywhere.
    around = crop(image, Box(round(row - side / 2), round(column - side / 2), side, side), 192)
    green = around[..., 1].astype(np.float32)
    # The field's own edge is sharp in any picture: what the wider blur brings in from there does not count.
    lit = np.pad((brightest(around) > _LIT).astype(np.uint8), 1)
    inside = cv2.erode(lit, np.ones((25, 25), np.uint8))[1:-1, 1:-1] > 0
    if not inside.any():
        return 0.0
    fine = cv2.GaussianBlur(green, (0, 0), 1) - cv2.GaussianBlur(green, (0, 0), 4)
    return float(fine[inside].std() / max(1.0, float(green[inside].mean())))


def unlit_surroundings(image: Image, disc: npt.NDArray[np.bool_]) -> float:
    """Share of a disc's nearest surroundings that is dark: there the field of view ends, and the disc may go on.

    Args:
        image: H x W x 3 uint8 RGB.
        disc: H x W, not empty.

    Returns:
        0..1, of a ring 5 % of the disc's diameter wide; what is outside the picture is dark.
    """
    box = disc_box(disc, 1.3)
    around, inside = crop(image, box, 128), crop(disc.view(np.uint8), box, 128)
    ring = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))) > inside
    return float((brightest(around)[ring] <= _LIT).mean()) if ring.any() else 0.0
