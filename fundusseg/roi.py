"""Where to look: the field of view, disc-centred crops, and the way back to the photograph.

Geometry is exact. Pixel j covers the interval [j, j + 1), so that a box is an interval of the photograph and
a crop is that interval cut into equal parts; ``restore`` is the same cut the other way round. Both are two
sparse matrices, one for rows and one for columns: a box may reach far outside the picture at no cost.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

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
    # Every colour channel counts: a field lit in red only is as bright as a white one.
    bright = image if image.ndim == 2 else image.max(axis=2)
    size = (max(1, round(width / step)), max(1, round(height / step)))
    small = np.asarray(cv2.medianBlur(cv2.resize(bright, size, interpolation=cv2.INTER_AREA), 5), np.uint8)
    frame, noise = _frame_level(small)
    if frame > _BLACK:
        return whole
    field = (small > frame + max(_CONTRAST, 4 * noise)).astype(np.uint8)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    field = np.asarray(cv2.morphologyEx(field, cv2.MORPH_OPEN, brush), np.uint8)
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
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ConfigurationError(f"a crop scale of {scale}", "a number above 0", "set it to 2 or so")
    disc = mask if mask.dtype == np.bool_ else mask > 127
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    if rows.size == 0:
        raise DatasetError(
            f"an empty disc mask of {mask.shape[1]} x {mask.shape[0]} pixels",
            "a disc to centre the crop on",
            "leave this picture out, or use the whole field of view",
        )
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    side = max(1, round(scale * max(bottom - top, right - left)))
    return Box((top + bottom - side) // 2, (left + right - side) // 2, side, side)


def square(box: Box) -> Box:
    """Smallest square around a box, on the same centre."""
    side = max(box.height, box.width)
    return Box(box.top - (side - box.height) // 2, box.left - (side - box.width) // 2, side, side)


def crop(image: npt.NDArray[np.uint8], box: Box, size: int, nearest: bool = False) -> npt.NDArray[np.uint8]:
    """Cut a box out of a picture and bring it to ``size`` x ``size`` pixels.

    Args:
        image: H x W or H x W x C uint8.
        box: What to cut out; outside the picture the crop is 0.
        size: Side of the crop in pixels.
        nearest: Take the nearest pixel, for codes that must not be mixed. Otherwise pixels are averaged by
            area where the crop shrinks the box, and interpolated linearly where it enlarges it.

    Returns:
        size x size or size x size x C uint8.
    """
    if nearest:
        return _pick(image, box, size)
    rows = _weights(box.top, box.height, size, image.shape[0])
    columns = _weights(box.left, box.width, size, image.shape[1])
    channels = image[..., None] if image.ndim == 2 else image
    mixed = _apply(channels, rows, columns)
    pixels = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return pixels[..., 0] if image.ndim == 2 else pixels


def restore(probabilities: npt.NDArray[np.float32], box: Box, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Lay a crop's values back where they were cut out.

    Args:
        probabilities: R x S x S float32, values on the crop.
        box: The box that the crop was cut from.
        shape: Height and width of the photograph.

    Returns:
        R x H x W float32 at the photograph's own size; 0 outside the box.
    """
    regions, size = probabilities.shape[0], probabilities.shape[-1]
    native = np.zeros((regions, *shape), np.float32)
    top, bottom = max(0, box.top), min(shape[0], box.top + box.height)
    left, right = max(0, box.left), min(shape[1], box.left + box.width)
    if top >= bottom or left >= right:
        return native
    down, across = size / box.height, size / box.width
    rows = _weights((top - box.top) * down, (bottom - top) * down, bottom - top, size)
    columns = _weights((left - box.left) * across, (right - left) * across, right - left, size)
    values = _apply(np.moveaxis(probabilities, 0, -1), rows, columns)
    native[:, top:bottom, left:right] = np.moveaxis(values, -1, 0)
    return native


def _frame_level(bright: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Median and spread (a standard deviation's worth) of the frame's brightness, read in the corners.

    A frame is not equally grey everywhere (DRIONS-DB: 9 to 25), so that the brightest corner counts that is
    still like the darkest one. Corners that the field fills are far brighter.
    """
    side = max(1, min(bright.shape) // 40)
    corners = (bright[:side, :side], bright[:side, -side:], bright[-side:, :side], bright[-side:, -side:])
    levels = [float(np.median(corner)) for corner in corners]
    level = max(other for other in levels if other <= 3 * min(levels))
    corner = corners[levels.index(level)]
    return level, 1.4826 * float(np.median(np.abs(corner - level)))


def _grow(found: slice, native: int, small: int) -> tuple[int, int]:
    """First and one-past-last native pixel under a run of the reduced picture's pixels."""
    return found.start * native // small, -(-found.stop * native // small)


def _pick(image: npt.NDArray[np.uint8], box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Nearest pixel for every centre of the crop."""
    centres = np.arange(size) + 0.5
    rows = np.floor(box.top + centres * box.height / size).astype(np.int64)
    columns = np.floor(box.left + centres * box.width / size).astype(np.int64)
    inside_rows = np.flatnonzero((rows >= 0) & (rows < image.shape[0]))
    inside_columns = np.flatnonzero((columns >= 0) & (columns < image.shape[1]))
    picked = np.zeros((size, size, *image.shape[2:]), np.uint8)
    picked[np.ix_(inside_rows, inside_columns)] = image[np.ix_(rows[inside_rows], columns[inside_columns])]
    return picked


def _weights(start: float, length: float, size: int, extent: int) -> sparse.csr_array:
    """How much of each of ``extent`` pixels goes into each of ``size`` equal parts of an interval.

    The interval is [start, start + length). Parts larger than a pixel take each pixel by the share it covers,
    others interpolate linearly between pixel centres. What lies outside [0, extent) counts as 0.
    """
    step = length / size
    if step > 1:
        return _area_weights(start, step, size, extent)
    centres = start + (np.arange(size) + 0.5) * step
    part = np.flatnonzero((centres >= 0) & (centres <= extent))
    position = np.clip(centres[part] - 0.5, 0, extent - 1)
    below = np.minimum(position.astype(np.int64), max(0, extent - 2))
    share = position - below
    above = np.minimum(below + 1, extent - 1)
    values = np.concatenate([1 - share, share]).astype(np.float32)
    places = (np.concatenate([part, part]), np.concatenate([below, above]))
    return sparse.csr_array((values, places), shape=(size, extent))


def _area_weights(start: float, step: float, size: int, extent: int) -> sparse.csr_array:
    """Share of each pixel in each part: cut at all borders, each piece is of one pixel and one part."""
    low = max(0.0, start)
    high = max(low, min(float(extent), start + size * step))
    borders = start + np.arange(size + 1) * step
    pixels = np.arange(math.floor(low), math.ceil(high) + 1, dtype=np.float64)
    cuts = np.unique(np.clip(np.concatenate([borders, pixels]), low, high))
    middle = (cuts[:-1] + cuts[1:]) / 2
    part = np.clip(np.searchsorted(borders, middle, side="right") - 1, 0, size - 1)
    pixel = np.clip(middle.astype(np.int64), 0, extent - 1)
    values = (np.diff(cuts) / step).astype(np.float32)
    return sparse.csr_array((values, (part, pixel)), shape=(size, extent))


def _apply(
    pixels: npt.NDArray[np.generic], rows: sparse.csr_array, columns: sparse.csr_array
) -> npt.NDArray[np.float32]:
    """``rows @ pixels @ columns.T`` for each channel of H x W x C, touching only pixels that carry weight."""
    if rows.nnz == 0 or columns.nnz == 0:
        return np.zeros((rows.shape[0], columns.shape[0], pixels.shape[2]), np.float32)
    used_rows, used_columns = _used(rows), _used(columns)
    part = pixels[used_rows, used_columns].astype(np.float32)
    rows, columns = rows[:, used_rows], columns[:, used_columns]
    height, width, channels = part.shape
    down = np.asarray(rows @ part.reshape(height, width * channels)).reshape(-1, width, channels)
    turned = np.ascontiguousarray(down.transpose(1, 0, 2)).reshape(width, -1)
    across = np.asarray(columns @ turned).reshape(columns.shape[0], rows.shape[0], channels)
    return np.ascontiguousarray(across.transpose(1, 0, 2), dtype=np.float32)


def _used(weights: sparse.csr_array) -> slice:
    """The run of pixels that carry weight."""
    return slice(int(weights.indices.min()), int(weights.indices.max()) + 1)
