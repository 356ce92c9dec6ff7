"""A small picture of the disc with its contours, for a page of many."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.imaging.image_files import encode_jpeg
from fundusseg.imaging.roi import Box, crop, disc_box, square
from fundusseg.reports.overlay import overlay
from fundusseg.sample import CUP, DISC, Image, Region

SIDE = 160
"""Pixels: with JPEG some 5 kB, so that a thousand fit into one page."""

_SCALE = 2.0
"""Side of the square over the longer side of what was found."""


def thumbnail(image: Image, label_map: npt.NDArray[np.uint8], regions: Sequence[Region] = (DISC, CUP)) -> bytes:
    """The square around what was found, or the whole photograph where nothing was.

    Args:
        image: H x W x 3 uint8 RGB.
        label_map: H x W uint8, 0 background.
        regions: What the map was made with.

    Returns:
        A JPEG file of 160 x 160 pixels.
    """
    box = _around(label_map)
    # Drawn at twice the size: smooth lines of one pixel.
    side = 2 * SIDE
    drawn = overlay(crop(image, box, side), _nearest(label_map, box, side), regions=regions)
    return encode_jpeg(np.asarray(cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8), quality=80)


def _around(label_map: npt.NDArray[np.uint8]) -> Box:
    """The square to show, moved into the picture as far as it fits."""
    height, width = label_map.shape
    whole = square(Box(0, 0, height, width))
    found = label_map > 0
    if not found.any() or (box := disc_box(found, _SCALE)).height >= whole.height:
        return whole
    top, left = (
        min(max(first, 0), side - box.height) if box.height <= side else -((box.height - side) // 2)
        for first, side in ((box.top, height), (box.left, width))
    )
    return Box(top, left, box.height, box.width)


def _nearest(label_map: npt.NDArray[np.uint8], box: Box, side: int) -> npt.NDArray[np.uint8]:
    """Cut a box out of a label map; codes are not mixed."""
    steps = (np.arange(side) + 0.5) / side
    rows, columns = ((steps * box.height).astype(int) + box.top, (steps * box.width).astype(int) + box.left)
    height, width = label_map.shape
    cut = label_map[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(inside, cut, 0).astype(np.uint8)
