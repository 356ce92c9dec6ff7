"""Where to look: the field of view, disc-centred crops, and the way back to the photograph.

Pixel j covers the interval [j, j + 1), as in OpenCV's resize: a box is an interval of the photograph, a crop is that
interval cut into equal parts, and ``restore`` is the same cut the other way round.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.sample import Image

_WORKING_SIDE = 512
"""Pixels along the longer side at which the field of view is looked for: noise vanishes, the box stays."""

_BLACK = 30
"""A corner brighter than this is retina, not the camera's black frame."""

_CONTRAST = 6.0
"""Brightness above the frame that counts as field: a field's shaded side is hardly brighter than that."""

_SMALLEST_FIELD = 0.1
"""Share of the picture below which a bright area is no field of view."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the photograph in pixels; it may reach outside the picture.

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows, at least 1.
        width: Number of columns, at least 1.

    Raises:
        ConfigurationError: The box has no extent.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ConfigurationError(
                f"a box of {self.height} x {self.width} pixels", "at least 1 x 1", "give a larger box"
            )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to cut an array by; of a box inside the picture only."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def bounds(mask: npt.NDArray[np.generic]) -> Box | None:
    """Bounding box of all that is not 0.

    Args:
        mask: H x W, a mask or a label map.

    Returns:
        The smallest box that holds it all; None where everything is 0.

    >>> mask = np.zeros((40, 60), bool)
    >>> mask[10:20, 30:50] = True
    >>> bounds(mask)
    Box(top=10, left=30, height=10, width=20)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)


def field_of_view(image: Image) -> Box:
    """Bounding box of the bright field of view on the camera's black frame.

    The frame's level is read in the corners, so that a grey or noisy frame (DRIONS-DB) counts as black too.
    An opening removes the camera's text, the largest bright area is the field.

    Args:
        image: H x W x 3 uint8, or H x W grey.

    Returns:
        The box, inside the picture; the whole picture where there is no black frame or nothing bright.
    """
    height, width = image.shape[:2]
    whole = Box(0, 0, height, width)
    step = max(1.0, max(height, width) / _WORKING_SIDE)
    size = (max(1, round(width / step)), max(1, round(height / step)))
    reduced = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    # Every colour channel counts: a field lit in red only is as bright as a white one.
    bright = reduced if image.ndim == 2 else brightest(reduced)
    small = np.asarray(cv2.medianBlur(bright, 5), np.uint8)
    frame, noise = _frame_level(small)
    if frame > _BLACK:
        return whole
    field = (small > frame + max(_CONTRAST, 4 * noise)).astype(np.uint8)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    field = np.asarray(cv2.morphologyEx(field, cv2.MORPH_OPEN, brush), np.uint8)
    # Largest of what is left: text and reflections of the frame are smaller than any field.
    labels, count = ndimage.label(field)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if count == 0 or sizes.max() < _SMALLEST_FIELD * field.size:
        return whole
    rows, columns = ndimage.find_objects(labels)[int(sizes.argmax())]
    top, bottom = _grow(rows, height, small.shape[0])
    left, right = _grow(columns, width, small.shape[1])
    return Box(top, left, bottom - top, right - left)


def disc_box(mask: npt.NDArray[np.bool_] | npt.NDArray[np.uint8], scale: float) -> Box:
    """Square around a disc, centred on the centre of its bounding box.

    Args:
        mask: H x W; True, or above 127, is disc.
        scale: The square's side over the longer side of the disc's bounding box, above 0.

    Returns:
        A square of ``round(scale * longer side)`` pixels; it may reach outside the picture.

    Raises:
        DatasetError: The mask is empty.
        ConfigurationError: The scale is not above 0.

    >>> mask = np.zeros((40, 60), bool)
    >>> mask[10:20, 30:50] = True
    >>> disc_box(mask, 2.0)
    Box(top=-5, left=20, height=40, width=40)
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ConfigurationError(f"a crop scale of {scale}", "a number above 0", "set it to 2 or so")
    disc = bounds(mask if mask.dtype == np.bool_ else mask > 127)
    if disc is None:
        raise DatasetError(
            f"an empty disc mask of {mask.shape[1]} x {mask.shape[0]} pixels",
            "a disc to centre the crop on",
            "leave this picture out, or use the whole field of view",
        )
    side = max(1, round(scale * max(disc.height, disc.width)))
    return Box((2 * disc.top + disc.height - side) // 2, (2 * disc.left + disc.width - side) // 2, side, side)


def brightest(pixels: Image) -> Image:
    """Brightest channel of ... x 3 uint8; many times quicker than ``max`` over an axis of three."""
    brightest: Image = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    return brightest


def square(box: Box) -> Box:
    """Smallest square around a box, on the same centre."""
    side = max(box.height, box.width)
    return Box(box.top - (side - box.height) // 2, box.left - (side - box.width) // 2, side, side)


def crop(image: npt.NDArray[np.uint8], box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Cut a box out of a picture and bring it to ``size`` x ``size`` pixels.

    Args:
        image: H x W or H x W x C uint8.
        box: What to cut out; outside the picture the crop is 0.
        size: Side of the crop in pixels.

    Returns:
        size x size or size x size x C uint8: pixels averaged by area where the crop shrinks the box, interpolated
        linearly where it enlarges it.
    """
    top, bottom, left, right = _inside(box, image.shape[:2])
    if top >= bottom or left >= right:
        return np.zeros((size, size, *image.shape[2:]), np.uint8)
    below, beyond = box.top + box.height - bottom, box.left + box.width - right
    part = cv2.copyMakeBorder(
        image[top:bottom, left:right], top - box.top, below, left - box.left, beyond, cv2.BORDER_CONSTANT, value=0
    )
    return np.asarray(_resize(part, size, size), np.uint8)


def restore(probabilities: npt.NDArray[np.float32], box: Box, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Lay a crop's values back where they were cut out.

    Args:
        probabilities: R x S x S float32, values on the crop.
        box: The box that the crop was cut from.
        shape: Height and width of the photograph.

    Returns:
        R x H x W float32 at the photograph's own size; 0 outside the box.
    """
    native = np.zeros((len(probabilities), *shape), np.float32)
    top, bottom, left, right = _inside(box, shape)
    if top < bottom and left < right:
        inside = (slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left))
        for plane, values in zip(native, probabilities, strict=True):
            plane[top:bottom, left:right] = _resize(values, box.height, box.width)[inside]
    return native


def _inside(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the box's part that lies in the picture."""
    top, bottom = max(0, box.top), min(shape[0], box.top + box.height)
    return top, bottom, max(0, box.left), min(shape[1], box.left + box.width)


def _resize(pixels: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    shrinks = height < pixels.shape[0] or width < pixels.shape[1]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _frame_level(bright: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Median and spread (a standard deviation's worth) of the frame's brightness, read in the corners.

    A frame is not equally grey everywhere (DRIONS-DB: 9 to 25), so that the brightest corner counts that is
    still like the darkest one. Corners that the field fills are far brighter.
    """
    side = max(1, min(bright.shape) // 40)
    corners = (bright[:side, :side], bright[:side, -side:], bright[-side:, :side], bright[-side:, -side:])
    levels = [float(np.median(corner)) for corner in corners]
    # 1.4826 medians of the deviations are a standard deviation, of normal noise.
    level = max(other for other in levels if other <= 3 * min(levels))
    corner = corners[levels.index(level)]
    return level, 1.4826 * float(np.median(np.abs(corner - level)))


def _grow(found: slice, native: int, small: int) -> tuple[int, int]:
    """First and one-past-last native pixel under a run of the reduced picture's pixels."""
    # Rounded outwards, so that no lit pixel is cut off.
    return found.start * native // small, -(-found.stop * native // small)
